/** Runs a case of the golden transcripts in a sandbox and gives what it said as golden lines. */
import { eventSequence } from '../helpers/event-sequence.ts';
import { normalise } from '../helpers/normalise.ts';
import { type Program, runProgram } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';
import { whileWatched } from '../helpers/watching.ts';
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

/** Runs a case with a program that is recorded and listens for watchers. */
export function runWatched(one: Case, program: Program): Promise<string[]> {
  return whileWatched(program, (watched) => runCase(one, { program: watched, unbuffered: watched }));
}
