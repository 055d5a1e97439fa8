/** A graph of its own for commands that work on other images: its requests are no news of the session. */
import { GraphContext } from '../../block/graph/context.ts';
import type { SessionState } from '../session-state.ts';

/** A context with the drivers and the messages of a session, and with nodes, records and events apart from it. */
export function privateContext({ loop, context, output }: SessionState): GraphContext {
  return new GraphContext({
    loop,
    drivers: context.drivers,
    objects: context.objects,
    compat: context.compat,
    stdout: (line) => output.stdout(`${line}\n`),
    stderr: (line) => output.stderr(`${line}\n`),
  });
}
