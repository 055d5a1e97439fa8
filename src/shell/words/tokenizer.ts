/** Cuts a command line into words. */

/**
 * The words of a line. Only spaces separate; there are no quotes, and a tab belongs to its word. A line ends at its
 * first NUL. As observed with qemu-io 7.2.22.
 */
export function tokenize(line: string): string[] {
  const nul = line.indexOf('\0');
  const end = nul < 0 ? line.length : nul;
  const words: string[] = [];
  // By hand: `split` is a call into the engine's runtime, and was a twentieth of a short command.
  for (let start = 0; start < end; ) {
    const space = line.indexOf(' ', start);
    const stop = space < 0 || space > end ? end : space;
    if (stop > start) words.push(line.slice(start, stop));
    start = stop + 1;
  }
  return words;
}
