/** V8's limit on inlining, lowered while a script runs: most scripts end before so much compiling pays off. */
import { loadNow } from '../util/load-now.ts';

/**
 * The most bytecode, in bytes, that V8 compiles into one function of those that it calls; its own limit is 920 in all
 * these versions of Node. The layers of a request are many small functions.
 */
const INLINED_BYTES = 300;

/**
 * The versions of Node that the limit was measured with (.github/docs/performance.md). Another one might not know the
 * flag: V8 complains of that on standard error, where qemu-io says nothing.
 */
const measuredMajors: ReadonlySet<number> = new Set([20, 22, 24, 26]);

/** The flag for a version of Node ("20.20.2"); null for one that it was not measured with. */
export function inliningFlag(nodeVersion: string): string | null {
  const isMeasured = measuredMajors.has(Number.parseInt(nodeVersion, 10));
  return isMeasured ? `--max-inlined-bytecode-size-cumulative=${INLINED_BYTES}` : null;
}

/** Lowers the limit for what is compiled from now on. */
export function limitInlining(): void {
  const flag = inliningFlag(process.versions.node);
  if (flag !== null) loadNow('node:v8').setFlagsFromString(flag);
}
