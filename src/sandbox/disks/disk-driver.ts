/** The driver that stands for `file` in a case: its options, lengths, holes and order of ends, over disks in memory. */
import type { Driver, TruncateOptions } from '../../block/driver.ts';
import { asBlockError, BlockError, invalidArgument } from '../../block/error.ts';
import { Open, Req, SECTOR_BYTES, Status } from '../../block/flags.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import { stripProtocol } from '../../block/open/protocol-prefix.ts';
import { fileOptions } from '../../block/options/file-options.ts';
import { absorbOptions } from '../../block/options/options.ts';
import { Errno } from '../../util/errno.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import type { FileRequest } from './disk-log.ts';
import { type CaseDisk, checkUse, type Disks, type Use, zero } from './disks.ts';

/** A search asks here before each request to a file. */
export type RequestHook = (request: FileRequest) => Pending;

/** The case that a driver's nodes belong to, and what it asks of them. */
export interface DiskHost {
  readonly disks: Disks;
  /** The line of the script that runs. */
  readonly command: number;
  /** Throws BlockError to fail the request, which is not done then; a promise puts it off. */
  readonly onRequest: RequestHook | null;
  /** Called for each request before anything else; throws where the case has gone on for too long. */
  countRequest(): void;
}

interface DiskState {
  readonly disk: CaseDisk;
  readonly use: Use;
}

type DiskNode = BlockNode<DiskState>;

const PAGE_BYTES = 4096;
/** With O_DIRECT: that of most disks. The user's own may ask for another. */
const DIRECT_ALIGNMENT = 512;

/** The driver `file` of one case. */
export function makeDiskDriver(host: DiskHost): Driver<DiskState> {
  return {
    formatName: 'file',
    protocolName: 'file',
    needsFilename: true,
    mutableOptions: ['x-check-cache-dropped'],
    parseFilename: (filename, options) => stripProtocol(filename, 'file:', options),

    async open(node, options) {
      const { filename = '', locking } = absorbOptions(options, fileOptions);
      const disk = host.disks.open(filename);
      const use = { perm: 0, shared: 0xf };
      if (locking !== 'off') disk.uses.add(use);
      node.state = { disk, use };
      node.supportedZeroFlags = Req.MAY_UNMAP | Req.NO_FALLBACK;
      node.supportedTruncateFlags = Req.ZERO_WRITE;
    },

    async close({ state }) {
      state.disk.uses.delete(state.use);
    },

    async reopenPrepare({ options }) {
      absorbOptions(options.clone(), fileOptions);
      absorbOptions(options, { 'drop-cache': 'bool', 'x-check-cache-dropped': 'bool' });
    },

    checkPermissions({ state }, perm, shared) {
      if (state.disk.uses.has(state.use)) checkUse(state.disk, state.use, perm, shared);
    },

    setPermissions({ state }, perm, shared) {
      state.use.perm = perm;
      state.use.shared = shared;
    },

    refreshLimits({ limits, openFlags }) {
      limits.requestAlignment = (openFlags & Open.NO_CACHE) === 0 ? 1 : DIRECT_ALIGNMENT;
      limits.minMemAlignment = 1;
      limits.optMemAlignment = PAGE_BYTES;
    },

    peek({ state }, offset, data) {
      state.disk.content.read(offset, data);
      return undefined;
    },

    getLength: ({ state }) => state.disk.content.lengthBytes,
    getAllocatedBytes: ({ state }) => state.disk.content.changedBytes,
    getInfo: () => ({ clusterBytes: 0, vmStateOffset: 0 }),

    preadv: (node, offset, data) =>
      perform(host, node, { kind: 'read', offset, bytes: data.length }, data, () =>
        node.state.disk.content.read(offset, data),
      ),
    pwritev: (node, offset, data) =>
      perform(host, node, { kind: 'write', offset, bytes: data.length }, data, () =>
        node.state.disk.content.write(offset, data),
      ),
    pwriteZeroes: (node, offset, bytes, flags) => run(writeZeroes(host, node, offset, bytes, flags)),
    pdiscard: (node, offset, bytes) =>
      perform(host, node, { kind: 'discard', offset, bytes }, null, () => node.state.disk.content.punch(offset, bytes)),
    flushToDisk: (node) => perform(host, node, { kind: 'flush', offset: 0, bytes: 0 }, null, () => {}),
    truncate: (node, bytes, options) =>
      perform(host, node, { kind: 'truncate', offset: bytes, bytes: 0 }, null, () =>
        truncate(node.state.disk, bytes, options),
      ),

    async blockStatus(node, wantZero, offset, bytes) {
      const base = { map: offset, file: node };
      const extent = wantZero ? node.state.disk.content.extentAt(offset) : null;
      if (extent === null) return { ...base, flags: Status.DATA | Status.OFFSET_VALID, bytes };
      const flags = (extent.isData ? Status.DATA : Status.ZERO) | Status.OFFSET_VALID;
      return { ...base, flags, bytes: extent.end === null ? bytes : extent.end - offset };
    },
  };
}

function* writeZeroes(host: DiskHost, node: DiskNode, offset: number, bytes: number, flags: number): Steps<void> {
  if (offset + bytes > node.totalSectors * SECTOR_BYTES) yield node.requests.serialiseToEnd(offset);
  yield perform(host, node, { kind: 'zero', offset, bytes, flags }, null, () =>
    zero(node.state.disk.content, offset, bytes),
  );
}

type Range = Pick<FileRequest, 'kind' | 'offset' | 'bytes'> & { readonly flags?: number };

/** Does a request. Its end is put off as in `file` if there are other requests. */
function perform(host: DiskHost, node: DiskNode, range: Range, data: Buffer | null, body: () => void): Pending {
  host.countRequest();
  const { loop, state } = node;
  const request: FileRequest = {
    kind: range.kind,
    disk: state.disk.number,
    offset: range.offset,
    bytes: range.bytes,
    flags: range.flags ?? 0,
    request: loop.current?.id ?? 0,
    command: host.command,
  };
  if (host.onRequest !== null) return run(performAsked(host, node, request, data, body));
  body();
  host.disks.note(request, range.kind === 'write' ? data : null);
  return loop.hostIo();
}

function* performAsked(
  host: DiskHost,
  { loop }: DiskNode,
  request: FileRequest,
  data: Buffer | null,
  body: () => void,
): Steps<void> {
  let failure: BlockError | null = null;
  try {
    yield host.onRequest?.(request);
    body();
    host.disks.note(request, request.kind === 'write' ? data : null);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    failure = asBlockError(error);
  }
  yield loop.hostIo();
  if (failure !== null) throw failure;
}

function truncate({ content }: CaseDisk, bytes: number, { preallocation }: TruncateOptions): void {
  const oldBytes = content.lengthBytes;
  if (bytes < oldBytes && preallocation !== 'off') {
    throw new BlockError(Errno.ENOTSUP, 'Cannot use preallocation for shrinking files');
  }
  if (preallocation === 'metadata') {
    throw new BlockError(Errno.ENOTSUP, `Unsupported preallocation mode: ${preallocation}`);
  }
  if (bytes > Number.MAX_SAFE_INTEGER) throw invalidArgument('Could not resize file: File too large');
  content.truncate(bytes);
  if (preallocation === 'full') fill(content, oldBytes, bytes);
  // Its first block is written, so that a later open finds what O_DIRECT needs.
  else if (oldBytes === 0 && bytes > 0) content.write(0, Buffer.alloc(bytes < PAGE_BYTES ? SECTOR_BYTES : PAGE_BYTES));
}

function fill(content: CaseDisk['content'], from: number, to: number): void {
  const zeroes = Buffer.alloc(1 << 16);
  for (let at = from; at < to; at += zeroes.length) {
    content.write(at, zeroes.subarray(0, Math.min(zeroes.length, to - at)));
  }
}
