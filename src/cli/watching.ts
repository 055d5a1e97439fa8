/** Ways to watch a session while it runs: a socket to watch it from elsewhere, the panel. */
import { requestPath } from '../block/loop/request-path.ts';
import { LivePanel } from '../live/panel/live-panel.ts';
import type { PanelColumn } from '../live/panel/panel.ts';
import { Monitor } from '../live/watch/monitor.ts';
import type { Session } from '../shell/session.ts';
import { isUtf8Locale } from '../util/ascii.ts';
import { unpainted } from '../util/style.ts';
import { type ConsoleHost, Consoles } from './consoles.ts';
import type { RoutedOutput } from './routed-output.ts';
import { listenerOptions, snapshotOf } from './session-snapshot.ts';
import { terminalSize } from './stdio.ts';

/** The session's output as its consoles share it, and what they may ask of the program. */
export interface ConsoleAccess {
  readonly output: RoutedOutput;
  readonly host: ConsoleHost;
}

/** Begins to listen on a socket. Fails with BlockError if it cannot be made. */
export function openMonitor(
  session: Session,
  path: string,
  command: readonly string[],
  { output, host }: ConsoleAccess,
): Promise<Monitor> {
  const control = new Consoles(session, output, host);
  return Monitor.open(path, { ...listenerOptions(session, command), control });
}

/** The panel for the terminal that is standard output, not yet shown; `hasKeys` tells whether there is a prompt. */
export function makePanel(session: Session, columns: readonly PanelColumn[], hasKeys: () => boolean): LivePanel {
  const { loop, context } = session;
  return new LivePanel({
    history: context.trace.history,
    snapshot: () => snapshotOf(session),
    nowNs: () => loop.clock.nowNs(),
    path: (request) => requestPath(loop, request),
    hasKeys,
    write: (text) => void process.stdout.write(text),
    size: terminalSize(),
    lists: columns,
    paint: session.output.paint ?? unpainted,
    isAscii: !isUtf8Locale(process.env),
  });
}
