/** The sources that recordings, clients and the panel of a session read. */
import type { BlockNode } from '../block/graph/node.ts';
import type { MonitorOptions } from '../live/watch/monitor.ts';
import { type FileIdentity, isSameFile } from '../live/record/recording-file.ts';
import { type Snapshot, takeSnapshot } from '../live/snapshot.ts';
import type { Session } from '../shell/session.ts';
import { versionText } from './version.ts';

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

/** Whether a node of the open image has this file open, whatever its name. */
export function holdsImage({ backend }: Session, file: FileIdentity): boolean {
  const holds = (node: BlockNode): boolean => {
    const own = node.driver.hostFile?.(node);
    return (own !== undefined && isSameFile(own, file)) || node.children.some((child) => holds(child.node));
  };
  return backend !== null && holds(backend.top);
}
