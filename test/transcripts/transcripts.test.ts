/**
 * Golden transcripts: what qemu-io said to the cases of `*.case` is what blkscope says.
 *
 * With `RECORD=1` (`npm run record-transcripts`) the real qemu-io runs instead and its answers are written into the
 * files; a case that answers differently twice is refused. With `WATCHED=1` blkscope is recorded and listens for
 * watchers.
 */
import { constants, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { blkscope, qemuIo, type Program } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';
import { parseCaseFile, renderCaseFile, type Case } from './case-file.ts';
import { runCase, runWatched } from './run-case.ts';

const recording = process.env.RECORD === '1';
const watched = process.env.WATCHED === '1' && !recording;
const program: Program = recording ? qemuIo : blkscope;
// stdout of the real program is block-buffered on a pipe; sequences of events need it at once.
const unbuffered: Program = recording ? { command: 'stdbuf', args: ['-o0', qemuIo.command] } : blkscope;

function runThisCase(one: Case): Promise<string[]> {
  return watched ? runWatched(one, program) : runCase(one, { program, unbuffered });
}

function supportsDirectIo(): boolean {
  const sandbox = new Sandbox();
  try {
    sandbox.image('probe', 4096);
    openSync(sandbox.path('probe'), constants.O_RDWR | constants.O_DIRECT);
    return true;
  } catch {
    return false;
  } finally {
    sandbox.remove();
  }
}

const available: Record<string, boolean> = { o_direct: supportsDirectIo() };

const folder = import.meta.dirname;
for (const filename of readdirSync(folder)
  .filter((name) => name.endsWith('.case'))
  .sort()) {
  const file = parseCaseFile(readFileSync(path.join(folder, filename), 'latin1'), filename);
  describe.concurrent(filename, () => {
    const results: string[][] = [];
    it.for(file.cases.map((one, index) => ({ one, index, name: one.name })))(
      '$name',
      async ({ one, index }, { skip }) => {
        for (const feature of one.requires) if (available[feature] !== true) skip(`no ${feature} here`);
        const lines = await runThisCase(one);
        if (!recording) {
          expect(one.golden, 'the case has no golden lines: npm run record-transcripts').not.toEqual([]);
          expect(lines.join('\n')).toBe(one.golden.join('\n'));
          return;
        }
        expect(lines.at(-1), 'the real program hangs').not.toBe('= timeout');
        for (let again = 0; again < 2; again++) expect(await runThisCase(one), 'two runs differ').toEqual(lines);
        results[index] = lines;
      },
    );
    if (recording) {
      afterAll(() => {
        const version = execFileSync(qemuIo.command, ['-V'], { encoding: 'utf8' }).replace(
          /^.*version (\S+)[^]*$/,
          'qemu-io $1',
        );
        writeFileSync(path.join(folder, filename), renderCaseFile(file, version, results), 'latin1');
      });
    }
  });
}
