/** nbd: the client of a network block device. */
import { type BlockStatus, type Driver, fallbackOptions } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import { Open, Req, SECTOR_BYTES, Status } from '../../block/flags.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import { traceWait } from '../../block/request/traced.ts';
import { alignDown, isAligned, minNonZero } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';
import { type Answer, run, type Steps } from '../../util/steps.ts';
import { NbdClient } from './client.ts';
import { Connector } from './connector.ts';
import { parseFilename } from './filename.ts';
import type { ExportInfo } from './negotiate.ts';
import { type NbdOptions, takeOptions } from './options.ts';
import {
  Allocation,
  Command,
  CommandFlag,
  MAX_PAYLOAD_BYTES,
  TransmissionFlag,
  type RequestBody,
} from '../../nbd/wire.ts';
import { startTls } from './tls.ts';
import { uriOf } from './uri.ts';

/** The state of a node. */
export interface NbdState {
  readonly options: NbdOptions;
  readonly client: NbdClient;
}

type NbdNode = BlockNode<NbdState>;

const NANOSECONDS = 1e9;
/** INT_MAX: ranges without data are cut to it. */
const MAX_RANGE_BYTES = 0x7fffffff;
const nothing = { kind: 'nothing' } as const;

/** The client of NBD exports. */
export const nbd: Driver<NbdState> = {
  formatName: 'nbd',
  protocolName: 'nbd',
  otherPrefixes: ['nbd+tcp', 'nbd+unix'],
  strongOptions: ['path', 'host', 'port', 'export', 'tls-creds', 'tls-hostname', 'server.'],
  parseFilename,
  createOptions: async () => fallbackOptions,
  create: async (...request) => (await import('../../block/create.ts')).createFallback('nbd', ...request),

  async open(node, options) {
    const parsed = takeOptions(options, node.context.objects);
    const { tlsCredentials, tlsHostname } = parsed;
    const connector = new Connector(node.loop, parsed.address, {
      exportName: parsed.exportName ?? '',
      context: parsed.context ?? 'base:allocation',
      startTls: tlsCredentials === null ? null : (plain) => startTls(plain, tlsCredentials, tlsHostname),
    });
    const client = new NbdClient({
      loop: node.loop,
      connector,
      reconnectDelayNs: parsed.reconnectDelaySeconds * NANOSECONDS,
      onConnected: (info) => takeAbilities(node, parsed, info),
      onWait: (reason) => traceWait(node, reason),
    });
    await run(client.open(parsed.openTimeoutSeconds * NANOSECONDS));
    node.state = { options: parsed, client };
  },

  async close(node) {
    node.state.client.close();
  },

  async reopenPrepare({ node, flags }) {
    const isReadOnly = (node.state.client.info.flags & TransmissionFlag.READ_ONLY) !== 0;
    if (!isReadOnly || (flags & Open.READ_WRITE) === 0) return;
    throw new BlockError(Errno.EACCES, "Can't reopen read-only NBD mount as read/write");
  },

  getLength(node) {
    const { sizeBytes } = node.state.client.info;
    // QEMU takes a length of 2^63 bytes and more for a negative errno.
    if (sizeBytes < 0) throw new BlockError(-sizeBytes);
    return sizeBytes;
  },

  refreshLimits(node) {
    const { info } = node.state.client;
    const { limits } = node;
    const max = minNonZero(MAX_PAYLOAD_BYTES, info.maxBlockBytes);
    limits.requestAlignment = info.minBlockBytes > 0 ? info.minBlockBytes : defaultAlignment(info);
    limits.maxPdiscard = alignDown(MAX_RANGE_BYTES, limits.requestAlignment);
    limits.maxPwriteZeroes = max;
    limits.maxTransfer = max;
    limits.optTransfer = Math.max(limits.optTransfer, info.preferredBlockBytes);
  },

  refreshFilename(node) {
    node.exactFilename = uriOf(node.state.options) ?? '';
  },

  folder() {
    throw new BlockError(Errno.EINVAL, 'Cannot generate a base directory for NBD nodes');
  },

  preadv: (node, offset, data) => run(read(node, offset, data)),
  peek: (node, offset, data) => run(read(node, offset, data)),
  pwritev: (node, offset, data, flags) => run(write(node, offset, data, flags)),
  pwriteZeroes: (node, offset, bytes, flags) => run(writeZeroes(node, offset, bytes, flags)),

  pdiscard(node, offset, bytes) {
    if (!can(node, TransmissionFlag.SEND_TRIM)) return undefined;
    return run(send(node, { type: Command.TRIM, flags: 0, offset, length: bytes }));
  },

  flushToOs(node) {
    if (!can(node, TransmissionFlag.SEND_FLUSH)) return undefined;
    return run(send(node, { type: Command.FLUSH, flags: 0, offset: 0, length: 0 }));
  },

  truncate(node, bytes, { exact }) {
    const { sizeBytes } = node.state.client.info;
    if (bytes !== sizeBytes && exact) throw new BlockError(Errno.ENOTSUP, 'Cannot resize NBD nodes');
    if (bytes > sizeBytes) throw new BlockError(Errno.EINVAL, 'Cannot grow NBD nodes');
    return undefined;
  },

  blockStatus: (node, _wantZero, offset, bytes): Answer<BlockStatus> => run(blockStatus(node, offset, bytes)),
};

/** Takes over what a connection offers. EINVAL if a context is missing, EACCES if it is read-only and must not be. */
function takeAbilities(node: NbdNode, { context }: NbdOptions, info: ExportInfo): void {
  if (context !== undefined && info.contextId === null) throw new BlockError(Errno.EINVAL);
  if ((info.flags & TransmissionFlag.READ_ONLY) !== 0) becomeReadOnly(node);
  if ((info.flags & TransmissionFlag.SEND_FUA) !== 0) {
    node.supportedWriteFlags = Req.FUA;
    node.supportedZeroFlags |= Req.FUA;
  }
  if ((info.flags & TransmissionFlag.SEND_WRITE_ZEROES) === 0) return;
  node.supportedZeroFlags |= Req.MAY_UNMAP;
  if ((info.flags & TransmissionFlag.SEND_FAST_ZERO) !== 0) node.supportedZeroFlags |= Req.NO_FALLBACK;
}

function becomeReadOnly(node: NbdNode): void {
  if (node.isReadOnly) return;
  if ((node.openFlags & Open.AUTO_READ_ONLY) === 0 || node.copyOnRead > 0) throw new BlockError(Errno.EACCES);
  node.openFlags &= ~Open.READ_WRITE;
}

/**
 * For servers that tell no block size: bytes may be asked for where only they reach the end of the export, or extents
 * of bytes may come; else sectors, which the oldest servers need.
 */
function defaultAlignment({ sizeBytes, contextId }: ExportInfo): number {
  return !isAligned(sizeBytes, SECTOR_BYTES) || contextId !== null ? 1 : SECTOR_BYTES;
}

/** Whether the export has an ability, a bit of `TransmissionFlag`. */
function can(node: NbdNode, ability: number): boolean {
  return (node.state.client.info.flags & ability) !== 0;
}

function* send(node: NbdNode, request: RequestBody): Steps<void> {
  yield* node.state.client.request(request, nothing);
}

/** The layer counts in sectors; what the export lacks of the last one reads as zero. */
function* read(node: NbdNode, offset: number, data: Buffer): Steps<void> {
  const { client } = node.state;
  const bytes = Math.max(0, Math.min(data.length, client.info.sizeBytes - offset));
  if (bytes < data.length) data.fill(0, bytes);
  if (bytes === 0) return;
  yield* client.request(
    { type: Command.READ, flags: 0, offset, length: bytes },
    { kind: 'data', data: data.subarray(0, bytes) },
  );
  node.context.onTransfer?.(bytes);
}

function* write(node: NbdNode, offset: number, data: Buffer, flags: number): Steps<void> {
  if (data.length === 0) return;
  const request = { type: Command.WRITE, flags: fua(flags), offset, length: data.length };
  yield* node.state.client.request(request, nothing, data);
  node.context.onTransfer?.(data.length);
}

function fua(flags: number): number {
  return (flags & Req.FUA) === 0 ? 0 : CommandFlag.FUA;
}

function* writeZeroes(node: NbdNode, offset: number, bytes: number, flags: number): Steps<void> {
  if (!can(node, TransmissionFlag.SEND_WRITE_ZEROES)) throw new BlockError(Errno.ENOTSUP);
  if (bytes === 0) return;
  const noHole = (flags & Req.MAY_UNMAP) === 0 ? CommandFlag.NO_HOLE : 0;
  const fast = (flags & Req.NO_FALLBACK) === 0 ? 0 : CommandFlag.FAST_ZERO;
  yield* send(node, { type: Command.WRITE_ZEROES, flags: fua(flags) | noHole | fast, offset, length: bytes });
}

function* blockStatus(node: NbdNode, offset: number, bytes: number): Steps<BlockStatus> {
  const { client, options } = node.state;
  const { info } = client;
  const here = { map: offset, file: node };
  if (info.contextId === null) return { ...here, flags: Status.DATA | Status.OFFSET_VALID, bytes };
  // Behind the export's end, up to a whole sector.
  if (offset >= info.sizeBytes) return { flags: Status.ZERO, bytes, map: 0, file: null };
  const asked = Math.min(
    alignDown(MAX_RANGE_BYTES, node.limits.requestAlignment),
    Math.min(bytes, info.sizeBytes - offset),
  );
  const { extent } = yield* client.request(
    { type: Command.BLOCK_STATUS, flags: CommandFlag.REQ_ONE, offset, length: asked },
    { kind: 'extent' },
  );
  if (extent === null) throw new BlockError(Errno.EIO);
  // Depths beyond the first two are shown as the second.
  const isDepth = options.context === 'qemu:allocation-depth';
  const state = isDepth && extent.flags > 2 ? 2 : extent.flags;
  const data = (state & Allocation.HOLE) === 0 ? Status.DATA : 0;
  const zero = (state & Allocation.ZERO) === 0 ? 0 : Status.ZERO;
  return { ...here, flags: data | zero | Status.OFFSET_VALID, bytes: extent.bytes };
}
