/** Corrupt images, and leaks: what the image's own check finds after the case. */
import type { Judge } from '../verdict.ts';

/** The image cannot be opened any more, or its check finds corruptions that were not there before. */
export const brokenImage: Judge = ({ after: { failure, check, complaint }, baseline }) => {
  if (failure !== null) return { detail: `the image cannot be used: ${failure}`, mark: 'the image cannot be used' };
  const before = baseline.check?.corruptions ?? 0;
  const errors = (check?.corruptions ?? 0) + (check?.checkErrors ?? 0) - before;
  if (errors <= 0) return null;
  return { detail: `${errors} corruptions: ${complaint}`, mark: `the check finds: ${withoutNumbers(complaint)}` };
};

/** Clusters are counted that nothing refers to. */
export const lostSpace: Judge = ({ after: { check }, baseline }) => {
  const leaks = (check?.leaks ?? 0) - (baseline.check?.leaks ?? 0);
  if (leaks <= 0) return null;
  return { detail: `${leaks} leaked ${leaks === 1 ? 'cluster' : 'clusters'}`, mark: 'clusters leak' };
};

function withoutNumbers(text: string): string {
  return text.replaceAll(/0x[0-9a-f]+|\d+/g, 'N');
}
