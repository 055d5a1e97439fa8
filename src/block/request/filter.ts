/** Filters: a driver that leaves a method out passes the request on to its filtered child. */
import { assert } from '../../util/assert.ts';
import type { Driver } from '../driver.ts';
import { Status } from '../flags.ts';
import type { BlockNode, ChildLink } from '../graph/node.ts';
import { pdiscard } from './discard.ts';
import { driverInfo } from './info.ts';
import { preadv } from './read.ts';
import { truncate } from './truncate.ts';
import { pwriteZeroes, pwritev } from './write.ts';

/**
 * The driver of a filter: `methods`, and for those that it leaves out ones that pass on what they are given. `lacks`
 * names those of them that the filter has not at all, as drivers of QEMU do.
 */
export function defineFilter<S>(
  methods: Omit<Driver<S>, 'isFilter'>,
  lacks: readonly ('getLength' | 'pwriteZeroes' | 'pdiscard')[] = [],
): Driver<S> {
  const driver: Driver<S> = { ...(passThrough as Partial<Driver<S>>), ...methods, isFilter: true };
  for (const method of lacks) delete driver[method];
  return driver;
}

function childOf(node: BlockNode): ChildLink {
  const child = node.filteredChild;
  assert(child !== null, 'a filter has a child');
  return child;
}

const passThrough: Partial<Driver> = {
  getLength: (node) => childOf(node).node.getLength(),
  getInfo: (node) => driverInfo(childOf(node).node),
  preadv: (node, offset, data, flags) => preadv(childOf(node), offset, data, flags),
  pwritev: (node, offset, data, flags) => pwritev(childOf(node), offset, data, flags),
  pwriteZeroes: (node, offset, bytes, flags) => pwriteZeroes(childOf(node), offset, bytes, flags),
  pdiscard: (node, offset, bytes) => pdiscard(childOf(node), offset, bytes),
  truncate: (node, bytes, options) => truncate(childOf(node), bytes, options),
  blockStatus(node, _wantZero, offset, bytes) {
    return { flags: Status.RAW | Status.OFFSET_VALID, bytes, map: offset, file: childOf(node).node };
  },
};
