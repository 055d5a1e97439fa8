/**
 * null-co and null-aio: images of nothing. Writes are lost, reads leave the buffer alone or give zeroes. Found by
 * `name.ts`.
 */
import type { Driver } from '../../block/driver.ts';
import type { Pending } from '../../util/steps.ts';
import { BlockError, invalidArgument } from '../../block/error.ts';
import { MAX_LENGTH, Req, Status } from '../../block/flags.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import { absorbOptions } from '../../block/options/options.ts';
import { Errno } from '../../util/errno.ts';

interface NullState {
  readonly lengthBytes: number;
  /** How long every request takes. */
  readonly latencyNs: number;
  readonly readsZeroes: boolean;
}

type NullNode = BlockNode<NullState>;

const DEFAULT_LENGTH_BYTES = 1024 ** 3;
const INT64_END = 2 ** 63;

/** `finish` is what ends a request without latency: at once, or a turn of the loop later. */
function nullDriver(name: string, finish: (node: NullNode) => Pending): Driver<NullState> {
  function wait(node: NullNode): Pending {
    return node.state.latencyNs > 0 ? node.loop.sleep(node.state.latencyNs) : finish(node);
  }

  return {
    formatName: name,
    protocolName: name,
    strongOptions: ['size', 'read-zeroes'],

    async open(node, options) {
      const types = { size: 'size', 'latency-ns': 'number', 'read-zeroes': 'bool' } as const;
      const parsed = absorbOptions(options, types, node.context);
      const lengthBytes = parsed.size ?? DEFAULT_LENGTH_BYTES;
      const latencyNs = parsed['latency-ns'] ?? 0;
      // A negative number wraps around to the upper half of the unsigned ones.
      if (latencyNs >= INT64_END) throw invalidArgument('latency-ns is invalid');
      if (lengthBytes > MAX_LENGTH) {
        throw new BlockError(
          Errno.EFBIG,
          `size ${BigInt(lengthBytes)} is beyond ${MAX_LENGTH} bytes, the most that blkscope handles`,
        );
      }
      node.state = { lengthBytes, latencyNs, readsZeroes: parsed['read-zeroes'] ?? false };
      node.supportedWriteFlags = Req.FUA;
    },

    async reopenPrepare() {},

    refreshFilename(node) {
      const ignored = ['filename', 'driver', 'latency-ns'];
      const isPlain = [...node.fullOpenOptions.keys()].every((key) => ignored.includes(key));
      node.exactFilename = isPlain ? `${name}://` : '';
    },

    getLength: (node) => node.state.lengthBytes,
    getAllocatedBytes: () => 0,

    preadv(node, _offset, data) {
      if (node.state.readsZeroes) data.fill(0);
      return wait(node);
    },

    pwritev: wait,
    flushToDisk: wait,

    blockStatus(node, _wantZero, offset, bytes) {
      const flags = Status.OFFSET_VALID | (node.state.readsZeroes ? Status.ZERO : 0);
      return { flags, bytes, map: offset, file: node };
    },
  };
}

/** Ends a request in the turn in which it began. */
export const nullCo = nullDriver('null-co', () => undefined);
/** Ends a request in the next turn of the loop, as a driver with callbacks does. */
export const nullAio = nullDriver('null-aio', (node) => node.loop.bottomHalf());
