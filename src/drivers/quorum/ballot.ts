/** Counting votes: which of several values most have. */
import { BlockError } from '../../block/error.ts';

/** The children that voted for one value. */
export interface Version<T> {
  readonly value: T;
  /** Their indices, ascending. */
  readonly voters: number[];
}

/** The votes for each value that was voted for, the latest new value first. */
export function countVotes<T>(
  votes: readonly (readonly [number, T])[],
  isEqual: (a: T, b: T) => boolean,
): readonly Version<T>[] {
  const versions: Version<T>[] = [];
  for (const [index, value] of votes) {
    const version = versions.find((known) => isEqual(known.value, value));
    if (version === undefined) versions.unshift({ value, voters: [index] });
    else version.voters.push(index);
  }
  return versions;
}

/** The version with the most votes, of equal ones the latest; undefined if there was no vote. */
export function winnerOf<T>(versions: readonly Version<T>[]): Version<T> | undefined {
  let winner = versions[0];
  for (const version of versions) if (version.voters.length > (winner?.voters.length ?? 0)) winner = version;
  return winner;
}

/** Throws the commonest error if fewer copies than the threshold succeeded, which have errno 0. */
export function checkThreshold(errnos: readonly number[], threshold: number): void {
  const failures = [...errnos.entries()].filter(([, errno]) => errno !== 0);
  if (errnos.length - failures.length >= threshold) return;
  throw new BlockError(winnerOf(countVotes(failures, (a, b) => a === b))?.value ?? 0);
}
