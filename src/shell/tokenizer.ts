/** Cuts a command line into words. */

/**
 * The words of a line. Only spaces separate; there are no quotes, and a tab belongs to its word. A line ends at its
 * first NUL. As observed with qemu-io 7.2.22.
 */
export function tokenize(line: string): string[] {
  const nul = line.indexOf('\0');
  const length = nul < 0 ? line.length : nul;
  const words: string[] = [];
  for (let start = 0; start < length; ) {
    const space = line.indexOf(' ', start);
    const end = space < 0 || space > length ? length : space;
    if (end > start) words.push(line.slice(start, end));
    start = end + 1;
  }
  return words;
}
