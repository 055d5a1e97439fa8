/** A part of `npm run fuzz`, always the same. */
import { expect, it } from 'vitest';
import { fuzz } from './fuzz.js';

const seed = '20261123';
const CASES = 400;
/** Whatever the machine does besides: the rest is left out. */
const MAX_MS = 20_000;

it.each(['images', 'luks', 'formats', 'texts'] as const)(
  'hostile %s: no crash, no hang, no memory beyond the bound',
  { timeout: 120_000 },
  async (kind) => {
    const { finds, next } = await fuzz({ kind, seed, from: 0, count: CASES, endMs: Date.now() + MAX_MS });
    expect(finds).toEqual([]);
    expect(next).toBeGreaterThan(0);
  },
);
