/** Runs one random case through both programs on equal images and says how their answers differ. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { normalise } from '../helpers/normalise.ts';
import { blkscope, qemuIo, runProgram, type Program } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';
import { commandLine, files, parentFolder, scriptLines, standardInput, type RandomCase } from './random-case.ts';
import type { ImageKind } from './image-kind.ts';

const run = promisify(execFile);

/** Everything that is compared, as text. */
export interface Answer {
  readonly text: string;
  /** The program neither hung nor aborted, nor divided by zero. */
  readonly ended: boolean;
}

async function answer(program: Program, kind: ImageKind, one: RandomCase): Promise<Answer> {
  const sandbox = new Sandbox(parentFolder(one));
  try {
    kind.create(sandbox, 'disk.img', one.image);
    for (const [name, text] of Object.entries(files(one))) writeFileSync(sandbox.path(name), text);
    sandbox.snapshot();
    const { stdout, stderr, exit } = await runProgram(program, commandLine(kind, one), {
      cwd: sandbox.folder,
      stdin: standardInput(kind, one),
      timeoutMs: 10_000,
    });
    const ended = !['timeout', 'SIGABRT', 'SIGFPE'].includes(exit);
    const map = ended
      ? (await run('qemu-img', ['map', '--output=json', '-U', '-f', kind.driver, sandbox.path('disk.img')])).stdout
      : '';
    const sections = [
      `exit ${exit}`,
      '--- stdout',
      normalise(stdout, sandbox.folder),
      '--- stderr',
      normalise(stderr, sandbox.folder),
      '--- files',
      ...sandbox.changes(),
      '--- qemu-img map',
      map,
    ];
    return { text: sections.join('\n'), ended };
  } finally {
    sandbox.remove();
  }
}

/** The case as one would type it. */
export function describeCase(kind: ImageKind, one: RandomCase): string {
  const quoted = (word: string) => (/^[\w./:=,-]+$/.test(word) ? word : `'${word}'`);
  return [
    `image disk.img: ${one.image.lengthBytes} bytes${one.image.runs.map((run) => `, ${run.bytes} of ${run.value} at ${run.offset}`).join('')}${parentFolder(one) === undefined ? '' : ' (in memory)'}`,
    ...Object.entries(files(one)).map(([name, text]) => `${name}:\n${text.replaceAll(/^/gm, '    ')}`),
    `qemu-io ${commandLine(kind, one).map(quoted).join(' ')}`,
    ...(one.piped ? scriptLines(kind, one).map((line) => `    ${line}`) : []),
  ].join('\n');
}

export type Verdict =
  | { readonly outcome: 'same' | 'unanswerable' | 'unsteady' }
  | { readonly outcome: 'different'; readonly expected: string; readonly actual: string };

/**
 * `unanswerable`: the real program hangs or aborts, or its answer depends on memory that it never set. `unsteady`: it answers
 * differently from one run to the next, and one of its answers is ours.
 */
export async function compare(kind: ImageKind, one: RandomCase): Promise<Verdict> {
  const [expected, actual] = await Promise.all([answer(qemuIo, kind, one), answer(blkscope, kind, one)]);
  if (!expected.ended) return { outcome: 'unanswerable' };
  if (expected.text === actual.text) return { outcome: 'same' };
  for (let again = 0; again < 3; again++) {
    const other = await answer(qemuIo, kind, one);
    if (other.text === actual.text) return { outcome: 'unsteady' };
  }
  if (await dependsOnStrayMemory(kind, one)) return { outcome: 'unanswerable' };
  return { outcome: 'different', expected: expected.text, actual: actual.text };
}

/**
 * Whether qemu-io's answer changes with what fresh memory holds: where the read of a read-modify-write fails, it goes on and
 * writes whatever the buffer had (observed with qemu-io 7.2.22).
 */
async function dependsOnStrayMemory(kind: ImageKind, one: RandomCase): Promise<boolean> {
  const [first, second] = await Promise.all(
    ['85', '170'].map((byte) => answer({ ...qemuIo, env: { MALLOC_PERTURB_: byte } }, kind, one)),
  );
  return first?.text !== second?.text;
}
