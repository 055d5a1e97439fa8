/** Opening an image a second time, read-only, over what its files hold now: the first opening does not notice. */
import type { BlockBackend } from '../backend.ts';
import type { Driver } from '../driver.ts';
import { Open } from '../flags.ts';
import { GraphContext } from '../graph/context.ts';
import type { BlockNode } from '../graph/node.ts';
import type { Unwritten } from '../inspect.ts';
import { absorbOptions, Options } from '../options/options.ts';
import { peek } from '../request/peek.ts';
import { run, type Steps } from '../../util/steps.ts';
import { DriverTable } from './driver-table.ts';
import { openBackend } from './open.ts';

const FORMAT_NAME = 'peeked';

/** The node that a peeked one reads from, and what it reads in place of what is there. */
interface PeekedState {
  readonly source: BlockNode;
  readonly unwritten: readonly Unwritten[];
  readonly lengthBytes: number;
}

/**
 * Opens the format of `node` without its backing file, to be checked; `unwritten` stands for what is on disk. Lines for
 * standard error go to `warn`. Throws what the format says of damage.
 */
export function openPeeked(
  node: BlockNode,
  unwritten: readonly Unwritten[],
  warn: (line: string) => void,
): Promise<BlockBackend> {
  const context = new GraphContext({
    loop: node.loop,
    drivers: new DriverTable([node.driver, peekedDriver(node, unwritten)]),
    stderr: warn,
  });
  const children = node.children.map(({ name }) => name).filter((name) => name !== 'backing');
  const options = new Options([['driver', node.driver.formatName]]);
  for (const name of children) {
    options.set(`${name}.driver`, FORMAT_NAME);
    options.set(`${name}.child`, name);
  }
  // Data is not read: an encrypted image needs no key.
  return openBackend(context, { filename: null, options, flags: Open.CHECK | Open.NO_BACKING | Open.NO_IO });
}

/** A protocol that reads from the children of a node of another graph. */
function peekedDriver(node: BlockNode, unwritten: readonly Unwritten[]): Driver<PeekedState> {
  return {
    formatName: FORMAT_NAME,
    protocolName: FORMAT_NAME,

    async open(own, options) {
      // A format may know the child by its name, too.
      const { child = '' } = absorbOptions(options, { child: 'string', filename: 'string' });
      const source = node.children.find(({ name }) => name === child)?.node ?? node;
      const changes = source === node.file?.node ? unwritten : [];
      const end = Math.max(source.getLength(), ...changes.map(({ offset, bytes }) => offset + bytes.length));
      own.state = { source, unwritten: changes, lengthBytes: end };
    },

    folder: () => '',
    getLength: ({ state }) => state.lengthBytes,
    preadv: ({ state }, offset, data) => run(read(state, offset, data)),
  };
}

function* read({ source, unwritten }: PeekedState, offset: number, data: Buffer): Steps<void> {
  yield* peek(source, offset, data);
  for (const { offset: start, bytes } of unwritten) {
    const from = Math.max(start, offset);
    const to = Math.min(start + bytes.length, offset + data.length);
    if (from < to) bytes.copy(data, from - offset, from - start, to - start);
  }
}
