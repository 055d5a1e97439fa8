/** The sources that recordings, clients and the panel of a session read. */
import { BlockError } from '../block/error.ts';
import type { BlockNode } from '../block/graph/node.ts';
import { clusterBytes } from '../block/request/info.ts';
import type { MonitorOptions } from '../live/watch/monitor.ts';
import { type FileIdentity, isSameFile } from '../live/record/recording-file.ts';
import { type Snapshot, takeSnapshot } from '../live/snapshot.ts';
import { nodeRows } from '../shell/commands/nodes.ts';
import type { Session } from '../shell/session.ts';
import { Errno } from '../util/errno.ts';
import { versionText } from './version.ts';

/** For a recording or a monitor; `command` are the words of the command line. */
export function listenerOptions(session: Session, command: readonly string[]): Omit<MonitorOptions, 'control'> {
  const { loop, context } = session;
  return {
    bus: context.trace,
    nowNs: () => loop.clock.nowNs(),
    snapshot: () => snapshotOf(session),
    program: versionText(context.compat).trim(),
    command: withoutSecrets(command),
  };
}

/** A command line for a recording or a view: the data of secrets is left out. */
export function withoutSecrets(words: readonly string[]): string[] {
  return words.map((word) =>
    word.includes('secret')
      ? word
          .replaceAll(/(^|[,=])data=(?:[^,]|,,)*/g, '$1data=***')
          .replaceAll(/(["']data["']\s*:\s*)(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')/g, '$1"***"')
      : word,
  );
}

/** The open image, the rules and the requests as they are now. */
export function snapshotOf({ loop, backend }: Session): Snapshot {
  return takeSnapshot(loop, backend?.top ?? null);
}

/** The format and the sizes of the open image, as `info` tells them; lengths in bytes. ENOMEDIUM without one. */
export async function infoOf({ backend }: Session): Promise<object> {
  if (backend === null || backend.top.closed) throw noImage();
  const { top } = backend;
  const { driver, filename } = top;
  return {
    file: filename,
    length: nodeRows(top)[0]?.length ?? null,
    format: driver.formatName,
    clusterBytes: clusterBytes(top),
    specific: (await driver.getSpecificInfo?.(top)) ?? null,
  };
}

/** The refusal of what needs an image. */
export function noImage(): BlockError {
  return new BlockError(Errno.ENOMEDIUM, 'no image is open');
}

/** Whether a node of the open image has this file open, whatever its name. */
export function holdsImage({ backend }: Session, file: FileIdentity): boolean {
  const holds = (node: BlockNode): boolean => {
    const own = node.driver.hostFile?.(node);
    return (own !== undefined && isSameFile(own, file)) || node.children.some((child) => holds(child.node));
  };
  return backend !== null && holds(backend.top);
}
