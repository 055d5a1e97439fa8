/**
 * A run that is recorded and may be watched says what it says without: the golden transcripts once more, a part of
 * them. `WATCHED=1 npm test -- test/transcripts` tries all.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { blkscope } from '../helpers/run-program.ts';
import { type Case, parseCaseFile } from './case-file.ts';
import { runWatched } from './run-case.ts';

/** A divisor that falls upon every file, and not on neighbours, which resemble each other. */
const EVERY = 9;

const folder = import.meta.dirname;
const cases: Case[] = readdirSync(folder)
  .filter((name) => name.endsWith('.case'))
  .toSorted()
  .flatMap((name) => parseCaseFile(readFileSync(path.join(folder, name), 'latin1'), name).cases)
  .filter(({ requires }) => requires.length === 0);

describe.concurrent('recorded and with a socket for watchers', () => {
  it.for(cases.filter((_, at) => at % EVERY === 0).map((one) => ({ one, name: one.name })))(
    '$name',
    async ({ one }) => {
      expect((await runWatched(one, blkscope)).join('\n')).toBe(one.golden.join('\n'));
    },
  );
});
