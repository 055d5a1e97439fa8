/** "Did you mean": the known word that is closest to one that is not known. */
import type { SessionState } from '../session-state.ts';

/** How many letters may differ; a short word has hardly any left then. */
function tolerance(word: string): number {
  return word.length <= 3 ? 1 : 2;
}

/** The candidate with the fewest letters to change, add, leave out or swap; null if none is close. */
function closest(word: string, candidates: readonly string[]): string | null {
  let best: string | null = null;
  let fewest = tolerance(word) + 1;
  for (const candidate of candidates) {
    // One letter is close to any short word.
    if (candidate.length === 1 || candidate === word || Math.abs(candidate.length - word.length) >= fewest) continue;
    const count = distance(word.toLowerCase(), candidate.toLowerCase());
    if (count < fewest) {
      fewest = count;
      best = candidate;
    }
  }
  return best;
}

/** Says on a terminal which known word may have been meant; nothing if none is close. */
export function hintClosest(session: SessionState, word: string, candidates: readonly string[]): void {
  if (!session.output.isTerminal) return;
  const found = closest(word, candidates);
  if (found !== null) session.hint(`did you mean ${found}?`);
}

/** Edits between two words, where swapping neighbours counts as one. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const isSame = a[i - 1] === b[j - 1];
      let count = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        count = Math.min(count, (before[j - 2] ?? 0) + 1);
      row.push(count);
    }
    before = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
