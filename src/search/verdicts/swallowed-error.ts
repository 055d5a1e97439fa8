/** Swallowed errors: a request to a file failed, and nothing was said of it. */
import type { Judge } from '../verdict.ts';

/**
 * No failure of a request of the user, and no message, followed the first injected error. An error that loses nothing
 * does not count: a discard is a hint, and a status that is not known counts as data.
 */
export const swallowedError: Judge = ({ finished: { journal, crash } }) => {
  if (crash !== null) return null;
  const index = journal.findIndex((entry) => entry.kind === 'injected' && !entry.isHint);
  const injected = journal[index];
  if (injected?.kind !== 'injected') return null;
  const isReported = journal.slice(index + 1).some(({ kind }) => kind === 'failed' || kind === 'said');
  if (isReported) return null;
  return { detail: `no command reports it: ${injected.text}`, mark: 'no command reports the error' };
};
