/** Keys derived from secrets: PBKDF2 in a thread of Node's, and how much of it fits into a time. */
import { loadNow } from '../util/load-now.ts';
import type { Steps } from '../util/steps.ts';
import { CryptoError, type HashName } from './algorithms.ts';

/**
 * Waits for what `begin` has begun: that calls the function which it is given once it is done. It returns one that
 * takes this back.
 */
export type WaitForWork = (begin: (arrived: () => void) => () => void) => Promise<void>;

/** The secret and the parameters of a derivation. */
export interface Derivation {
  readonly secret: Buffer;
  readonly salt: Buffer;
  readonly iterations: number;
  /** Bytes of the key. */
  readonly bytes: number;
  readonly hash: HashName;
}

/** The key; the loop goes on meanwhile. */
export function* deriveKey(wait: WaitForWork, { secret, salt, iterations, bytes, hash }: Derivation): Steps<Buffer> {
  let outcome: Buffer | Error | null = null;
  yield wait((arrived) => {
    let isWanted = true;
    loadNow('node:crypto').pbkdf2(secret, salt, iterations, bytes, hash, (error, key) => {
      if (!isWanted) return;
      outcome = error ?? key;
      arrived();
    });
    // It cannot be ended; what it brings is left lying.
    return () => {
      isWanted = false;
    };
  });
  if (!Buffer.isBuffer(outcome)) throw outcome ?? new CryptoError('The derivation of the key was cancelled');
  return outcome;
}

const FIRST_ITERATIONS = 2 ** 14;
/** A measurement of less time of the processors is not trusted. */
const MEASURED_US = 100_000;

/** How many iterations of this derivation the machine makes in a second of one processor, however busy it is. */
export function* iterationsPerSecond(wait: WaitForWork, work: Omit<Derivation, 'iterations'>): Steps<number> {
  for (let iterations = FIRST_ITERATIONS; ; iterations *= 4) {
    const before = process.cpuUsage();
    (yield* deriveKey(wait, { ...work, iterations })).fill(0);
    const { user, system } = process.cpuUsage(before);
    const tookUs = user + system;
    if (tookUs >= MEASURED_US) return Math.floor((iterations * 1e6) / tookUs);
  }
}
