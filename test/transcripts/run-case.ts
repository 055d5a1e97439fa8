/** Runs a case of the golden transcripts in a sandbox and gives what it said as golden lines. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { eventSequence } from '../helpers/event-sequence.ts';
import { normalise } from '../helpers/normalise.ts';
import { type Program, runProgram } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';
import { type Case, goldenLines } from './case-file.ts';

/** `unbuffered`: the program as it shows output at once, for sequences of events. */
export interface CaseRunner {
  readonly program: Program;
  readonly unbuffered: Program;
}

export async function runCase(one: Case, { program, unbuffered }: CaseRunner): Promise<string[]> {
  const sandbox = new Sandbox();
  try {
    for (const { words, text } of one.setup) sandbox.prepare(words, text);
    sandbox.snapshot();
    if (one.opts !== null) {
      const lines = await eventSequence(unbuffered, one.opts, one.setupCommands, one.requests, sandbox.folder);
      return lines.map((line) => `> ${line}`);
    }
    const { stdout, stderr, exit } = await runProgram(program, one.args, { cwd: sandbox.folder, stdin: one.stdin });
    const kept = stdout
      .split(/(?<=\n)/)
      .slice(0, one.keepLines)
      .join('');
    return goldenLines({
      stdout: normalise(kept, sandbox.folder),
      stderr: normalise(stderr, sandbox.folder),
      changes: sandbox.changes(),
      exit,
    });
  } finally {
    sandbox.remove();
  }
}

/** Runs a case with a program that is recorded and listens for watchers, which must not change a byte. */
export async function runWatched(one: Case, { command, args }: Program): Promise<string[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'blkscope-watched-'));
  const watching = ['--record', path.join(folder, 'run.ndjson'), '--monitor', path.join(folder, 'run.sock')];
  const program = { command, args: [...args, ...watching] };
  try {
    return await runCase(one, { program, unbuffered: program });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
