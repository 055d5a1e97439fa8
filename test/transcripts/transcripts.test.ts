/**
 * Golden transcripts: what qemu-io said to the cases of `*.case` is what blkscope says, and what qemu-io 10.2 said to
 * them is what it says with that version asked for. `10.2/*.golden` has the answers of 10.2 that are others.
 *
 * With `RECORD=1` (`npm run record-transcripts`) the real qemu-io (`QEMU_IO`) runs instead and its answers are written
 * into the files of its version; a case that answers differently twice is refused. With `WATCHED=1` blkscope is
 * recorded and listens for watchers.
 */
import { constants, existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { blkscope, qemuIo, type Program } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';
import { parseCaseFile, parseGolden, renderCaseFile, renderGolden, type Case } from './case-file.ts';
import { runCase, runWatched } from './run-case.ts';

const recording = process.env.RECORD === '1';
const watched = process.env.WATCHED === '1' && !recording;
const SHARED_STEP = 6;
const oracleVersion = recording ? versionOf(qemuIo) : '';
const versions = recording ? [oracleVersion.startsWith('10.') ? '10.2' : '7.2'] : ['7.2', '10.2'];

function versionOf({ command }: Program): string {
  return execFileSync(command, ['-V'], { encoding: 'utf8' }).replace(/^.*version (\S+)[^]*$/, '$1');
}

function runThisCase(one: Case, version: string): Promise<string[]> {
  const asked: Program = { ...blkscope, env: { BLKSCOPE_COMPAT: version } };
  if (watched) return runWatched(one, asked);
  if (!recording) return runCase(one, { program: asked, unbuffered: asked });
  // stdout of the real program is block-buffered on a pipe; sequences of events need it at once.
  return runCase(one, { program: qemuIo, unbuffered: { command: 'stdbuf', args: ['-o0', qemuIo.command] } });
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
const filenames = readdirSync(folder)
  .filter((name) => name.endsWith('.case'))
  .sort();

/** The file with the answers of 10.2 that are others than those of 7.2. */
function newerFile(filename: string): string {
  return path.join(folder, '10.2', filename.replace(/case$/, 'golden'));
}

for (const version of versions) {
  for (const filename of filenames) {
    const file = parseCaseFile(readFileSync(path.join(folder, filename), 'latin1'), filename);
    const newer = newerFile(filename);
    const others = existsSync(newer) ? parseGolden(readFileSync(newer, 'latin1')) : new Map<string, string[]>();
    const goldenOf = (one: Case): readonly string[] =>
      (version === '7.2' ? undefined : others.get(one.name)) ?? one.golden;
    /** Of what the versions share a part is enough; `EVERY=1` runs all of it in both. */
    const isRun = (one: Case, index: number): boolean =>
      version === '7.2' || recording || process.env.EVERY === '1' || others.has(one.name) || index % SHARED_STEP === 0;
    describe.concurrent(`${filename}, ${version}`, () => {
      const results: string[][] = [];
      it.for(
        file.cases.map((one, index) => ({ one, index, name: one.name })).filter(({ one, index }) => isRun(one, index)),
      )('$name', async ({ one, index }, { skip }) => {
        for (const feature of one.requires) if (available[feature] !== true) skip(`no ${feature} here`);
        const lines = await runThisCase(one, version);
        if (!recording) {
          expect(one.golden, 'the case has no golden lines: npm run record-transcripts').not.toEqual([]);
          expect(lines.join('\n')).toBe(goldenOf(one).join('\n'));
          return;
        }
        expect(lines.at(-1), 'the real program hangs').not.toBe('= timeout');
        for (let again = 0; again < 2; again++) {
          expect(await runThisCase(one, version), 'two runs differ').toEqual(lines);
        }
        results[index] = lines;
      });
      if (recording) {
        afterAll(() => {
          const text =
            version === '7.2'
              ? renderCaseFile(file, `qemu-io ${oracleVersion}`, results)
              : renderGolden(file, `qemu-io ${oracleVersion}`, results);
          if (text === '') return;
          mkdirSync(path.dirname(newer), { recursive: true });
          writeFileSync(version === '7.2' ? path.join(folder, filename) : newer, text, 'latin1');
        });
      }
    });
  }
}
