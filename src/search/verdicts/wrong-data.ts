/** Wrong data and lost data: a sector holds what the model of the disk does not allow. */
import type { Judge } from '../verdict.ts';

/** A read returned, or the disk holds in the end, what was never there or must not be there any more. */
export const wrongData: Judge = ({ violations: [first], after: { violation, readFailure } }) => {
  if (readFailure !== null) {
    return { detail: `in the end the disk cannot be read: ${readFailure}`, mark: 'the disk cannot be read in the end' };
  }
  if (first !== undefined) return { detail: `a read: ${first.text}`, mark: 'a read returns wrong data' };
  if (violation === null || violation.isPast) return null;
  return { detail: `in the end ${violation.text}`, mark: 'the disk holds wrong data in the end' };
};

/** The disk holds in the end what an acknowledged and flushed write has overwritten. */
export const lostData: Judge = ({ after: { violation } }) =>
  violation?.isPast === true
    ? { detail: `in the end ${violation.text}`, mark: 'an acknowledged write is gone in the end' }
    : null;
