/** The option `--sandbox`: a session whose files are copies in memory, with its time line. */
import { invalidArgument } from '../block/error.ts';
import { Open } from '../block/flags.ts';
import { drivers } from '../drivers/index.ts';
import { Sandbox } from '../sandbox/sandbox.ts';
import { SandboxOutput } from '../sandbox/sandbox-output.ts';
import { sandboxTable } from '../sandbox/sandbox-table.ts';
import { Timeline } from '../sandbox/time-travel.ts';
import { commandsOf } from '../shell/commands/index.ts';
import type { Output } from '../shell/output/output.ts';
import type { Invocation } from './command-line.ts';
import { makeDemoImage } from './demo.ts';
import { makeSession, openImage, type SessionPlace } from './wiring.ts';

/** Commands that act on the terminal or the program alone, which no journey undoes and none has to. */
const harmless: ReadonlySet<string> = new Set(['live', 'abort', 'sigraise']);

/** Makes the session of a command line. EINVAL for options that a copy in memory cannot have. */
export function makeSandboxed(invocation: Invocation, own: Output, programName: string): SessionPlace {
  checkOptions(invocation);
  const output = new SandboxOutput(own);
  const sandbox = new Sandbox(drivers);
  const commands = sandboxTable(commandsOf(invocation.compat), 'and is not to be had in a sandbox', harmless);
  const session = makeSession(invocation, output, programName, { ...sandbox.parts, commands });
  sandbox.serve(session);
  const demo = invocation.demo && invocation.file === null ? makeDemoImage() : null;
  const timeline = new Timeline({
    session,
    sandbox,
    output,
    hostDrivers: drivers,
    openImage: () => openImage(session, invocation, demo),
  });
  return {
    session,
    open: () => timeline.begin(),
    end: () => timeline.end(),
    close: () => sandbox.close(),
  };
}

function checkOptions({ record, monitor, exports, flags }: Invocation): void {
  const given = [
    [record !== null, '--record'],
    [monitor !== null, '--monitor'],
    [exports.length > 0, '--export'],
  ] as const;
  for (const [isGiven, name] of given) {
    if (isGiven) throw invalidArgument(`${name} has no meaning with --sandbox: who looks on cannot go back in time`);
  }
  if ((flags & Open.SNAPSHOT) !== 0)
    throw invalidArgument('-s has no meaning with --sandbox: the image is not written');
}
