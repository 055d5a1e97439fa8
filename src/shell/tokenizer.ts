/** Cuts a command line into words. */

/**
 * The words of a line. Only spaces separate; there are no quotes, and a tab belongs to its word. A line ends at its
 * first NUL. As observed with qemu-io 7.2.22.
 */
export function tokenize(line: string): string[] {
  const nul = line.indexOf('\0');
  const words = (nul < 0 ? line : line.slice(0, nul)).split(' ');
  return words.includes('') ? words.filter((word) => word !== '') : words;
}
