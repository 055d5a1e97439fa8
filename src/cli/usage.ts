/** What `--help` and `--version` print. */

declare const __BLKSCOPE_VERSION__: string | undefined;

/** The version of qemu-io whose behaviour is the measure; scripts look for it. */
const QEMU_VERSION = '7.2';

function version(): string {
  return typeof __BLKSCOPE_VERSION__ === 'string' ? __BLKSCOPE_VERSION__ : 'source';
}

/** What `-V` prints: the version of qemu-io whose behaviour this is, then our own. */
export function versionText(): string {
  return `qemu-io version ${QEMU_VERSION} (blkscope ${version()})\n`;
}

/** The usage, under the name of qemu-io where a program reads it. */
export function usageText(isTerminal: boolean): string {
  const name = isTerminal ? 'blkscope' : 'qemu-io';
  return `Usage: ${name} [OPTIONS]... [-c STRING]... [file]
Reads and writes a disk image through its drivers, command by command.

What to open:
  -f, --format FMT       take this driver instead of looking at the image
      --image-opts       the operand is a list of options (driver=...,file.filename=...)
      --object DEF       make an object first, such as secret,id=NAME,data=TEXT
  -r, --read-only        open without the right to write
  -s, --snapshot         write to a temporary overlay instead of the image
  -U, --force-share      open even if another process has the image locked

How to reach it:
  -t, --cache=MODE       none, writeback, unsafe, directsync or writethrough
  -n, --nocache          the same as -t none
  -d, --discard=MODE     ignore (off) or unmap (on)
  -i, --aio=MODE         threads, native or io_uring
  -k, --native-aio       the same as -i native
  -C, --copy-on-read     keep what is read from a backing file
  -m, --misalign         put the data of requests at odd addresses

What to do:
  -c, --cmd STRING       run this command and do not read standard input; may be repeated
      --bail             stop at the first command that fails
      --live             on a terminal: show events, rules and suspended requests above the prompt
      --record FILE      keep the run: .ndjson, .json (for Perfetto) or .html
      --monitor SOCKET   let others watch: blkscope attach SOCKET
  -T, --trace OPTS       taken for compatibility; QEMU's trace events do not exist here
  -h, --help             print this
  -V, --version          print the version

'${name} -c help' lists the commands.
'blkscope attach SOCKET' watches a session, 'blkscope report RUN.ndjson -o RUN.html' makes a page of a kept run.
`;
}
