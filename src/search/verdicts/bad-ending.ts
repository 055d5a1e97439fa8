/** Cases that do not end, or end by a broken invariant. */
import type { Judge } from '../verdict.ts';

/** A request never ended, though nothing held it. */
export const neverEnds: Judge = ({ finished: { hung } }) => {
  const [first] = hung;
  if (first === undefined) return null;
  const operations = [...new Set(hung)].sort();
  return { detail: `never ended: ${hung.join(', ')}`, mark: `${operations.join(', ')} never ended` };
};

/** The program ended by an error of its own. */
export const endsBadly: Judge = ({ finished: { crash } }) =>
  crash === null ? null : { detail: crash.message, mark: crash.message.replaceAll(/\d+/g, 'N') };
