#!/bin/sh
# Runs a search in shards with GNU parallel, and prints the results of the whole:
#   parallel.sh FOLDER N SEARCH [OPTIONS]... IMAGE SCRIPT > results.ndjson
# FOLDER keeps the results of the shards; run again, what is there is not searched again. Options for parallel itself,
# such as --sshloginfile or --retries, stand in PARALLEL.
set -eu
folder=$1
shards=$2
shift 2
mkdir -p "$folder"
one=$(dirname "$(readlink -f "$0")")/one-shard.sh
seq "$shards" | parallel --quote "$one" "$folder" "{}/$shards" "$@" --jobs 1 > /dev/null
"${BLKSCOPE:-blkscope}" merge "$folder"/shard-*-"$shards".ndjson
