#!/usr/bin/env bash
# Can two overlapping writes allocate at the same time, and what is left if the second one finds no space?
# Runs anywhere, on the demo image; arguments are passed on, such as --record run.html. If blkscope is not installed:
# BLKSCOPE=bin/blkscope.js .github/docs/investigation.sh
"${BLKSCOPE:-blkscope}" --demo -t writeback "$@" <<'END'
write -q 2M 64k
break cluster_alloc A
aio_write -P 0x11 0 96k
wait_break A
aio_write -P 0x22 64k 96k
requests
break write_aio B
resume A
wait_break B
requests
break cluster_alloc C
aio_write -P 0x33 1M 64k
wait_break C
suspended
resume C
sleep 100
rule add inject-error event=cluster_alloc errno=ENOSPC iotype=write once=on
resume B
aio_flush
rules
events ENOSPC
read -P 0x11 0 64k
read -P 0x22 64k 64k
read -P 0 128k 32k
read -P 0x33 1M 64k
quit
END
