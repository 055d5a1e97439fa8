/**
 * The image exported from the command line; with `blkscope serve` without a shell, until a signal or the last client.
 */
import type { Session } from '../shell/session.ts';

const MAX_TIMER_MS = 0x7fffffff;

/** Exports the open image at these addresses, and prints the URI of each. */
export async function startExports(session: Session, addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    const uri = await session.exports?.start({ address, name: '', isReadOnly: false });
    session.output.stdout(`${uri}\n`);
  }
  session.output.flush();
}

/** Turns the loop for clients until the session is to end. With `once` that is when the last client has left. */
export async function serveClients(session: Session, once: boolean): Promise<void> {
  const { loop, output, exports, consoles } = session;
  let hadClients = false;
  // Without an export nothing else keeps the program alive.
  const alive = setInterval(() => {}, MAX_TIMER_MS);
  while (!session.quitRequested) {
    if (once) {
      const isConnected = (exports?.clients().length ?? 0) > 0;
      if (hadClients && !isConnected) break;
      hadClients ||= isConnected;
    }
    await loop.turnOrSleep();
    if (consoles?.hasCommands === true) await consoles.runCommands();
    output.flush();
  }
  clearInterval(alive);
}
