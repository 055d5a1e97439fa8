/** The sources that recordings, clients and the panel of a session read. */
import type { MonitorOptions } from '../live/watch/monitor.ts';
import { type Snapshot, takeSnapshot } from '../live/snapshot.ts';
import type { Session } from '../shell/session.ts';
import { versionText } from './usage.ts';

/** For a recording or a monitor; `command` are the words of the command line. */
export function listenerOptions(session: Session, command: readonly string[]): MonitorOptions {
  const { loop, context } = session;
  return {
    bus: context.trace,
    nowNs: () => loop.clock.nowNs(),
    snapshot: () => snapshotOf(session),
    program: versionText().trim(),
    command,
  };
}

/** The open image, the rules and the requests as they are now. */
export function snapshotOf({ loop, backend }: Session): Snapshot {
  return takeSnapshot(loop, backend?.top ?? null);
}
