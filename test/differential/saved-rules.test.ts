/**
 * Rules that were added while the image was open act as the same rules do in the real program, once `rule save` has
 * written them to a file; and what is loaded from a file acts as if the image were opened with it.
 *
 * `CASES=2000 SEED=1 npm run test:differential -- saved-rules` runs more of them, or the same ones again.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalise } from '../helpers/normalise.ts';
import { blkscope, type Program, qemuIo, runProgram } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';
import { configFile, debugOptions, type Rule } from './debug-options.ts';
import { rawKind } from './raw-kind.ts';
import { textDiff } from './text-diff.ts';

const cases = Math.ceil(Number(process.env.CASES ?? 500) / 5);
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));

const sectors = fc.nat(300).map((count) => count * 512);
const sector = fc.constantFrom(512, 1024, 4096, 65536);

/** Commands that end before the next one begins, over the first sectors, where the rules' sectors are. */
const command = fc.oneof(
  fc.tuple(sectors, sector).map(([offset, bytes]) => `write -P 7 ${offset} ${bytes}`),
  fc.tuple(sectors, sector).map(([offset, bytes]) => `read ${offset} ${bytes}`),
  fc.tuple(sectors, sector).map(([offset, bytes]) => `write -z ${offset} ${bytes}`),
  fc.tuple(sectors, sector).map(([offset, bytes]) => `discard ${offset} ${bytes}`),
  fc.constantFrom('flush', 'map', 'length'),
);

const script = fc.array(command, { minLength: 4, maxLength: 16 });
const rules = debugOptions(rawKind.events).map((options) =>
  options.rules.filter(({ attributes }) => isTaken(attributes)),
);

/** There the real program aborts; see test/transcripts. */
function isTaken({ iotype, errno }: Rule['attributes']): boolean {
  return !(iotype === 'block-status' && errno === '0');
}

/** The answers to a script, without the lines that only blkscope prints. */
async function answer(program: Program, sandbox: Sandbox, image: string, lines: readonly string[]): Promise<string> {
  const stdin = lines.map((line) => `${line}\n`).join('');
  const { stdout, stderr, exit } = await runProgram(program, ['-f', 'raw', image], { cwd: sandbox.folder, stdin });
  const said = stdout
    .replaceAll(/^(?:qemu-io> )*(?:rules? \d.* added|no rules in .*)\n/gm, '')
    .replaceAll('qemu-io> ', '');
  return [
    `exit ${exit}`,
    normalise(said, sandbox.folder),
    normalise(stderr, sandbox.folder),
    ...sandbox.changes().filter((line) => line.includes('disk.img')),
  ].join('\n');
}

async function inSandbox<T>(body: (sandbox: Sandbox) => Promise<T>): Promise<T> {
  const sandbox = new Sandbox();
  try {
    sandbox.image('disk.img', 256 * 1024);
    sandbox.snapshot();
    return await body(sandbox);
  } finally {
    sandbox.remove();
  }
}

/** The answers of blkscope after `first`, and the rules that it saved before and after the script. */
async function live(given: readonly Rule[], first: readonly string[], lines: readonly string[]) {
  return inSandbox(async (sandbox) => {
    writeFileSync(sandbox.path('given.conf'), configFile(given));
    const all = [...first, 'rule save saved.conf', ...lines, 'rule save again.conf'];
    const text = await answer(blkscope, sandbox, 'blkdebug::disk.img', all);
    const [saved = '', again] = ['saved.conf', 'again.conf'].map((name) => readFileSync(sandbox.path(name), 'utf8'));
    return { text, saved, again };
  });
}

async function check(given: readonly Rule[], first: readonly string[], lines: readonly string[]): Promise<void> {
  const { text, saved, again } = await live(given, first, lines);
  const expected = await inSandbox((sandbox) => {
    writeFileSync(sandbox.path('saved.conf'), saved);
    return answer(qemuIo, sandbox, 'blkdebug:saved.conf:disk.img', lines);
  });
  const shown = [...first, ...lines, '', saved].join('\n');
  if (text !== expected) throw new Error(`${shown}\n${textDiff('qemu-io', 'blkscope', expected, text)}`);
  if (again !== saved) throw new Error(`${shown}\n${textDiff('saved before', 'saved after', saved, again ?? '')}`);
}

async function forAll(property: fc.IAsyncProperty<unknown>): Promise<void> {
  const result = await fc.check(property, { seed, numRuns: cases });
  if (result.failed) expect.fail(`SEED=${seed}: ${String((result.errorInstance as Error).message)}`);
}

describe(`saved rules, ${cases} cases each, seed ${seed}`, () => {
  it('that were added one by one', async () => {
    // Those of `none` are looked at when each is added, not together.
    const added = rules.map((all) => all.filter(({ attributes }) => attributes['event'] !== 'none'));
    await forAll(
      fc.asyncProperty(added, script, (given, lines) => {
        const words = given.map(({ kind, attributes }) => {
          const settings = Object.entries({ new_state: '0', ...attributes }).filter(
            ([name]) => name !== 'new_state' || kind === 'set-state',
          );
          return `rule add ${kind} ${settings.map(([name, value]) => `${name}=${value}`).join(' ')}`;
        });
        return check(given, words, lines);
      }),
    );
  });

  it('that were loaded from a file', async () => {
    await forAll(fc.asyncProperty(rules, script, (given, lines) => check(given, ['rule load given.conf'], lines)));
  });
});
