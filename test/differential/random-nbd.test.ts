/**
 * Random scripts over an export of qemu-nbd give the same in qemu-io and in blkscope: output, exit status, the image.
 *
 * `CASES=2000 SEED=7 npm run test:differential -- test/differential/random-nbd` runs a fifth of so many; the same seed
 * runs the same ones again.
 */
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { normalise } from '../helpers/normalise.ts';
import { blkscope, type Program, qemuIo, runProgram } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';
import { commandLine, files, type RandomCase, randomCase, scriptLines, standardInput } from './random-case.ts';
import { rawKind, type RawContent } from './raw-kind.ts';
import { textDiff } from './text-diff.ts';

const run = promisify(execFile);
const cases = Math.ceil(Number(process.env.CASES ?? 500) / 5);
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
/** Long enough to see that the real program hangs where ours says that it is stuck. */
const HANG_MS = 1500;
const TIMEOUT_MS = 30_000;
/** How often the real program is asked again when it answered otherwise than ours. */
const MAX_REPEATS = 10;

/** Said by ours where the real program would wait for ever. */
const stuck = /^qemu-io: (?:cancelled: |aio_flush: |reopen: |wait_break: no request|\d+ requests never ended)/m;

interface Answer {
  readonly text: string;
  readonly ended: boolean;
}

/** Options with the export in place of the file. */
function overExport(text: string): string {
  return text
    .replaceAll('file.image.driver=file,file.image.filename=disk.img', 'file.image.driver=nbd,file.image.path=nbd.sock')
    .replaceAll('file.driver=file,file.filename=disk.img', 'file.driver=nbd,file.path=nbd.sock');
}

async function ask(program: Program, one: RandomCase<RawContent>, timeoutMs: number): Promise<Answer> {
  const sandbox = new Sandbox();
  try {
    await rawKind.create(sandbox, one.image);
    for (const [name, text] of Object.entries(files(one))) writeFileSync(sandbox.path(name), text);
    sandbox.snapshot();
    // It goes on by itself once it can be connected to.
    const serving = ['--fork', '--pid-file', 'nbd.pid', '-t', '-e', '4', '-k', sandbox.path('nbd.sock')];
    await run('qemu-nbd', [...serving, '--discard=unmap', '-f', 'raw', 'disk.img'], { cwd: sandbox.folder });
    const server = Number(readFileSync(sandbox.path('nbd.pid'), 'utf8'));
    try {
      const { stdout, stderr, exit } = await runProgram(program, commandLine(rawKind, one).map(overExport), {
        cwd: sandbox.folder,
        stdin: overExport(standardInput(rawKind, one)),
        timeoutMs,
      });
      const said = [`exit ${exit}`, '--- stdout', stdout, '--- stderr', stderr].join('\n');
      const text = normalise(said, sandbox.folder).replaceAll(/#block\d+/g, '#blockN');
      const changed = sandbox.changes().filter((line) => line.includes('disk.img'));
      return { text: `${text}\n--- files\n${changed.join('\n')}`, ended: /^\d+$/.test(exit) };
    } finally {
      process.kill(server);
    }
  } finally {
    sandbox.remove();
  }
}

const counts = { same: 0, unanswerable: 0, unsteady: 0 };

async function tryCase(one: RandomCase<RawContent>): Promise<void> {
  const actual = await ask(blkscope, one, TIMEOUT_MS);
  const expected = await ask(qemuIo, one, stuck.test(actual.text) ? HANG_MS : TIMEOUT_MS);
  if (!expected.ended) {
    counts.unanswerable += 1;
    return;
  }
  let isSame = expected.text === actual.text;
  if (isSame) counts.same += 1;
  for (let repeat = 0; !isSame && repeat < MAX_REPEATS; repeat += 1) {
    isSame = (await ask(qemuIo, one, TIMEOUT_MS)).text === actual.text;
    if (isSame) counts.unsteady += 1;
  }
  if (isSame) return;
  const typed = [`qemu-io ${commandLine(rawKind, one).map(overExport).join(' ')}`, ...scriptLines(rawKind, one)];
  throw new Error(
    `${rawKind.describe(one.image)}\n${typed.join('\n    ')}\n${textDiff('qemu-io', 'blkscope', expected.text, actual.text)}`,
  );
}

it(`${cases} random scripts over an export, seed ${seed}`, async () => {
  const result = await fc.check(fc.asyncProperty(randomCase(rawKind), tryCase), { seed, numRuns: cases });
  if (result.failed) {
    const { errorInstance: error, numRuns } = result;
    expect.fail(`SEED=${seed}, case ${numRuns}:\n${error instanceof Error ? error.message : String(error)}`);
  }
  console.log(`nbd: ${JSON.stringify(counts)}`);
  expect(counts.unanswerable + counts.unsteady, JSON.stringify(counts)).toBeLessThan(10 + cases / 8);
});
