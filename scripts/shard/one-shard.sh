#!/bin/sh
# Runs one shard of a search and keeps its results when they are whole:
#   one-shard.sh FOLDER I/N SEARCH [OPTIONS]... IMAGE SCRIPT
# A shard whose results are there already is not run again: after a crash, start all of them once more. BLKSCOPE names
# the program. The exit status is 0 unless the search could not run.
set -u
folder=$1
shard=$2
search=$3
shift 3
results=$folder/shard-$(echo "$shard" | tr / -).ndjson
[ -e "$results" ] && exit 0
"${BLKSCOPE:-blkscope}" "$search" --json --shard "$shard" "$@" > "$results.$$"
status=$?
# 1 says that there is a find.
if [ "$status" -gt 1 ]; then
  rm -f "$results.$$"
  exit "$status"
fi
mv "$results.$$" "$results"
