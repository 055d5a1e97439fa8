/** Two texts line by line, what differs marked `-` and `+`. */

/** Lines that both have in order stand once; the longest common subsequence is found by the plain table. */
export function textDiff(nameA: string, nameB: string, a: string, b: string): string {
  const before = a.split('\n');
  const after = b.split('\n');
  const width = after.length + 1;
  const common = new Uint32Array((before.length + 1) * width);
  const at = (i: number, j: number) => common[i * width + j] ?? 0;
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      common[i * width + j] = before[i] === after[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  const lines = [`--- ${nameA}`, `+++ ${nameB}`];
  let i = 0;
  let j = 0;
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) {
      lines.push(` ${before[i]}`);
      i++;
      j++;
    } else if (j >= after.length || (i < before.length && at(i + 1, j) >= at(i, j + 1))) lines.push(`-${before[i++]}`);
    else lines.push(`+${after[j++]}`);
  }
  return lines.join('\n');
}
