/** The work of `snapshot`, with qemu-img's words. */
import type { SnapshotInfo } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import { Perm } from '../../block/flags.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import { inspectedNode } from '../../block/inspect.ts';
import { Errno, strerror } from '../../util/errno.ts';
import { run } from '../../util/steps.ts';
import { printable } from '../../util/printable.ts';
import { CommandFailure } from '../failure.ts';
import type { SessionState } from '../session-state.ts';

/** Prints the table of qemu-img, or JSON. */
export function listSnapshots(session: SessionState, json: boolean): void {
  const node = inspectedNode(session.top);
  const list = node.driver.snapshots?.list(node) ?? [];
  if (json) {
    const rows = list.map(({ date, vmClockNs, instructions, ...rest }) => ({
      ...rest,
      date: date.toISOString(),
      vmClockNs: String(vmClockNs),
      instructions: instructions === null ? null : String(instructions),
    }));
    session.output.stdout(`${JSON.stringify(rows)}\n`);
  } else if (list.length === 0) {
    session.hint('there is no snapshot');
  } else {
    const header = line('ID', 'TAG', 'VM SIZE', 'DATE', 'VM CLOCK', 'ICOUNT');
    session.output.stdout(`Snapshot list:\n${header}${list.map(snapshotLine).join('')}`);
  }
}

function line(id: string, tag: string, size: string, date: string, clock: string, count: string): string {
  const end = `${size.padStart(8)}${date.padStart(20)}${clock.padStart(13)}${count.padStart(11)}`;
  return `${id.padEnd(9)} ${tag.padEnd(16)} ${end}\n`;
}

function snapshotLine({ id, name, vmStateBytes, date, vmClockNs, instructions }: SnapshotInfo): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const milliseconds = Number(vmClockNs / 1_000_000n);
  const seconds = Math.floor(milliseconds / 1000);
  const clock =
    `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}.` +
    String(milliseconds % 1000).padStart(3, '0');
  const count = instructions === null ? '' : String(instructions);
  return line(printable(id), printable(name), sizeText(vmStateBytes), `${day} ${time}`, clock, count);
}

const UNITS = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

/** Three digits and a unit: "0 B", "1.5 MiB". */
function sizeText(bytes: number): string {
  let power = 0;
  let count = bytes;
  while (count >= 1000 && power < UNITS.length - 1) {
    count /= 1024;
    power += 1;
  }
  return `${Number(count.toPrecision(3))} ${UNITS[power] ?? ''}B`;
}

/** One of them is a name. */
export interface SnapshotChange {
  readonly applied: string | null;
  readonly created: string | null;
  readonly deleted: string | null;
}

/** Takes, applies or deletes a snapshot, once no request is in flight. */
export async function changeSnapshots(
  session: SessionState,
  { applied, created, deleted }: SnapshotChange,
): Promise<void> {
  const { image } = session;
  const node = inspectedNode(session.top);
  if (node.isReadOnly) throw new BlockError(Errno.EROFS, 'the image is open read-only');
  image.addPermissions(Perm.WRITE | Perm.RESIZE);
  await run(
    image.drained('snapshot', async () => {
      if (created !== null) await create(session, node, created);
      else if (applied !== null) await apply(node, applied);
      else if (deleted !== null) await remove(node, deleted);
    }),
  );
}

async function create(session: SessionState, node: BlockNode, name: string): Promise<void> {
  try {
    const { snapshots } = node.driver;
    if (snapshots === undefined) throw new BlockError(Errno.ENOTSUP);
    await snapshots.create(node, { name, date: new Date() });
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    session.error(`Could not create snapshot '${name}': -${error.errno} (${strerror(error.errno)})`);
    throw new CommandFailure(error.errno);
  }
}

async function apply(node: BlockNode, which: string): Promise<void> {
  await named(`Could not apply snapshot '${which}'`, async () => {
    const { snapshots } = node.driver;
    if (snapshots === undefined) throw new BlockError(Errno.ENOTSUP, 'Block driver does not support snapshots');
    await snapshots.apply(node, which);
  });
}

async function remove(node: BlockNode, name: string): Promise<void> {
  await named(`Could not delete snapshot '${name}'`, async () => {
    const { snapshots } = node.driver;
    if (snapshots === undefined) throw new BlockError(Errno.ENOENT, 'snapshot not found');
    await snapshots.delete(node, name);
  });
}

async function named(what: string, body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    throw error instanceof BlockError ? new BlockError(error.errno, `${what}: ${error.message}`) : error;
  }
}
