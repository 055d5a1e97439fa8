/** Runs one random case through both programs on equal images and says how their answers differ. */
import { execFile } from 'node:child_process';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { normalise } from '../helpers/normalise.ts';
import { blkscope, qemuIo, runProgram, type Program } from '../helpers/run-program.ts';
import { whileWatched } from '../helpers/watching.ts';
import { Sandbox } from '../helpers/sandbox.ts';
import { commandLine, files, parentFolder, scriptLines, standardInput, type RandomCase } from './random-case.ts';
import { type ImageContent, type ImageKind, optionString, type Secret } from './image-kind.ts';

const run = promisify(execFile);

/**
 * The oracle with fresh memory that is zero. Where the read of a read-modify-write fails, it goes on and writes
 * whatever the buffer had (observed with qemu-io 7.2.22); ours has zeroes.
 */
const oracle: Program = { ...qemuIo, env: { MALLOC_PERTURB_: '255' } };

const TIMEOUT_MS = 30_000;
/** With `WATCHED=1` blkscope is recorded and listens for watchers. */
const watched = process.env.WATCHED === '1';
/** Long enough to see that the real program hangs where ours says that it is stuck. */
const HANG_MS = 1500;

/** The output of a program and the files it left. */
interface Answer {
  /** Exit status and output. */
  readonly said: string;
  /** The files that changed: length and digest. */
  readonly files: string;
  /** Where holes are: by the space that each file takes where that is exact, otherwise by `qemu-img map`. */
  readonly holes: string;
  /** The program neither hung nor crashed. */
  readonly ended: boolean;
  readonly sandbox: Sandbox;
}

/** Our messages where the real program would wait for ever. */
const stuck =
  /^qemu-io: (?:cancelled: |aio_flush: |reopen: |wait_break: no request in flight|\d+ requests never ended)/m;

/** Names of nodes and temporary overlays, and content ids of vmdk, are random in the real program. */
function comparable(text: string, { folder }: Sandbox): string {
  return normalise(text, folder)
    .replaceAll(/#block\d+/g, '#blockN')
    .replaceAll(/^( +cid: )\d+$/gm, '$1N')
    .replaceAll(/'[^']*\/(?:vl\.\w+|blkscope-\w+\.qcow2)'/g, "'OVERLAY'");
}

async function answer<Content extends ImageContent>(
  program: Program,
  kind: ImageKind<Content>,
  one: RandomCase<Content>,
  template: Sandbox,
  timeoutMs: number,
): Promise<Answer> {
  const sandbox = new Sandbox(parentFolder(one));
  await run('cp', ['-a', `${template.folder}/.`, sandbox.folder]);
  sandbox.snapshot();
  const { stdout, stderr, exit } = await runProgram(program, commandLine(kind, one), {
    cwd: sandbox.folder,
    stdin: standardInput(kind, one),
    timeoutMs,
  });
  const ended = /^\d+$/.test(exit);
  const said = [`exit ${exit}`, '--- stdout', comparable(stdout, sandbox), '--- stderr', comparable(stderr, sandbox)];
  return {
    said: said.join('\n'),
    files: sandbox.changes().join('\n'),
    holes: ended ? await holesOf(kind, one, sandbox) : '',
    ended,
    sandbox,
  };
}

/**
 * A file system in memory counts pages. On a disk the same file may take more or less space from one time to the next.
 */
async function holesOf(image: AnyKind, one: RandomCase<ImageContent>, sandbox: Sandbox): Promise<string> {
  if (parentFolder(one) === undefined) return mapOf(image, sandbox);
  const names = readdirSync(sandbox.folder).sort();
  return names.map((name) => `${name} takes ${statSync(sandbox.path(name)).blocks / 2} KiB`).join('\n');
}

/** The parts of a kind that say how its images are opened. */
type AnyKind = Pick<ImageKind<never>, 'driver' | 'fileFormat' | 'secret'>;

const formatOf = ({ driver, fileFormat }: AnyKind): string => fileFormat ?? driver;

function mapOf(kind: AnyKind, sandbox: Sandbox): Promise<string> {
  const words = ['map', '--output=json', '-U'];
  if (kind.secret === undefined) return qemuImg(sandbox, ...words, '-f', formatOf(kind), 'disk.img');
  return qemuImg(sandbox, ...words, ...encryptedImage(formatOf(kind), kind.secret, 'disk.img'));
}

/** The words that give qemu-img an encrypted image. */
function encryptedImage(driver: string, secret: Secret, ...files: readonly string[]): string[] {
  return ['--object', secret.definition, '--image-opts', ...files.map((file) => optionString(driver, secret, file))];
}

/** The output of `qemu-img`, also when its exit status is not 0. */
async function qemuImg(sandbox: Sandbox, ...args: string[]): Promise<string> {
  const { stdout, stderr, exit } = await runProgram({ command: 'qemu-img', args: [] }, args, { cwd: sandbox.folder });
  return comparable(stdout + stderr + (exit === '0' ? '' : `exit ${exit}\n`), sandbox);
}

/** Everything that is compared, as text. */
function textOf({ said, files: changed, holes }: Answer): string {
  return [said, '--- files', changed, '--- holes', holes].join('\n');
}

/** The case as one would type it. */
export function describeCase<Content extends ImageContent>(kind: ImageKind<Content>, one: RandomCase<Content>): string {
  const quoted = (word: string) => (/^[\w./:=,-]+$/.test(word) ? word : `'${word}'`);
  return [
    kind.describe(one.image) + (parentFolder(one) === undefined ? '' : ' (in memory)'),
    ...Object.entries(files(one)).map(([name, text]) => `${name}:\n${text.replaceAll(/^/gm, '    ')}`),
    `qemu-io ${commandLine(kind, one).map(quoted).join(' ')}`,
    ...(one.piped ? scriptLines(kind, one).map((line) => `    ${line}`) : []),
  ].join('\n');
}

export type Verdict =
  | { readonly outcome: 'same' | 'unanswerable' | 'unsteady' }
  | { readonly outcome: 'different'; readonly expected: string; readonly actual: string };

/**
 * How often a program that answered otherwise is asked again: the rarer of two answers of the real one has been every
 * fourth.
 */
const MAX_REPEATS = 40;

/**
 * `unanswerable`: the real program hangs or crashes, or its answer depends on memory that it never set. `unsteady`: it
 * answers differently from one run to the next, and one of its answers is ours, or differs from ours only in where in
 * the file things are.
 */
export async function compare<Content extends ImageContent>(
  kind: ImageKind<Content>,
  one: RandomCase<Content>,
): Promise<Verdict> {
  const sandboxes: Sandbox[] = [];
  try {
    const template = new Sandbox(parentFolder(one));
    sandboxes.push(template);
    await kind.create(template, one.image);
    for (const [name, text] of Object.entries(files(one))) writeFileSync(template.path(name), text);
    const ask = async (program: Program, timeoutMs = TIMEOUT_MS) => {
      const given = await answer(program, kind, one, template, timeoutMs);
      sandboxes.push(given.sandbox);
      return given;
    };
    const actual = watched ? await whileWatched(blkscope, (program) => ask(program)) : await ask(blkscope);
    const expected = await ask(oracle, stuck.test(actual.said) ? HANG_MS : TIMEOUT_MS);
    if (!expected.ended) return { outcome: 'unanswerable' };
    if (textOf(expected) === textOf(actual)) return { outcome: 'same' };
    for (let repeat = 0; repeat < MAX_REPEATS; repeat++) {
      const other = await ask(oracle);
      if (textOf(other) === textOf(actual)) return { outcome: 'unsteady' };
      const isOpen = textOf(other) !== textOf(expected) || kind.hasOpenOrder(one.image, scriptLines(kind, one));
      if (isOpen && (await isEquivalent(kind, other, actual))) return { outcome: 'unsteady' };
    }
    if (await dependsOnStrayMemory(ask)) return { outcome: 'unanswerable' };
    return {
      outcome: 'different',
      expected: textOf(expected) + (await contentsOf(kind, expected)),
      actual: textOf(actual) + (await contentsOf(kind, actual)),
    };
  } finally {
    for (const sandbox of sandboxes) sandbox.remove();
  }
}

/** Whether qemu-io's answer changes with what fresh memory holds: some of it was used before, and is not zero. */
async function dependsOnStrayMemory(ask: (program: Program) => Promise<Answer>): Promise<boolean> {
  const first = await ask({ ...qemuIo, env: { MALLOC_PERTURB_: '85' } });
  const second = await ask({ ...qemuIo, env: { MALLOC_PERTURB_: '170' } });
  return textOf(first) !== textOf(second);
}

/**
 * Whether two answers say the same, and leave images with the same content, the same errors and the same map but for
 * offsets.
 */
async function isEquivalent(kind: AnyKind, a: Answer, b: Answer): Promise<boolean> {
  if (a.said !== b.said || withoutOffsets(await contentsOf(kind, a)) !== withoutOffsets(await contentsOf(kind, b)))
    return false;
  const { secret } = kind;
  const driver = formatOf(kind);
  const images = [a.sandbox.path('disk.img'), b.sandbox.path('disk.img')];
  const given =
    secret === undefined ? ['-f', driver, '-F', driver, ...images] : encryptedImage(driver, secret, ...images);
  const { exit } = await runProgram({ command: 'qemu-img', args: [] }, ['compare', '-U', ...given], {
    cwd: a.sandbox.folder,
  });
  return exit === '0';
}

function withoutOffsets(map: string): string {
  return map.replaceAll(/, "offset": \d+/g, '');
}

/** The map of the image and, where there is such a thing, what a check of it finds; fragmentation aside. */
async function contentsOf(kind: AnyKind, { sandbox }: Answer): Promise<string> {
  const { secret } = kind;
  const driver = formatOf(kind);
  const map = `\n--- qemu-img map\n${await mapOf(kind, sandbox)}`;
  if (driver === 'raw') return map;
  const given = secret === undefined ? ['-f', driver, 'disk.img'] : encryptedImage(driver, secret, 'disk.img');
  const check = await qemuImg(sandbox, 'check', '-U', ...given);
  return `${map}\n--- qemu-img check\n${check.replaceAll(/[\d.]+% fragmented, /g, '')}`;
}
