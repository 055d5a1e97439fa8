/**
 * Drivers over images in memory, for tests of the graph: "file" (a protocol), "raw" and "fmt" (formats), "pass" (a
 * filter that is a protocol). They note what is done to them.
 */
import type { Driver, ReopenState } from '../../src/block/driver.ts';
import { BlockError, errorWithErrno } from '../../src/block/error.ts';
import { stripProtocol } from '../../src/block/open/protocol-prefix.ts';
import { Role } from '../../src/block/flags.ts';
import { EventLoop } from '../../src/block/loop/loop.ts';
import type { BlockNode } from '../../src/block/graph/node.ts';
import { GraphContext } from '../../src/block/graph/context.ts';
import { openChild, openFileChild } from '../../src/block/open/open.ts';
import { absorbOptions } from '../../src/block/options/options.ts';
import { refreshFilename } from '../../src/block/graph/refresh-filename.ts';
import { preadv } from '../../src/block/request/read.ts';
import { Errno } from '../../src/util/errno.ts';
import { DriverTable } from '../../src/block/open/driver-table.ts';
import { defineFilter } from '../../src/block/request/filter.ts';

export interface FakeHost {
  /** Contents by file name. */
  readonly images: Map<string, Buffer>;
  /** "open x", "flush x", "close x", "perm x 3/15", … in order. */
  readonly log: string[];
  readonly warnings: string[];
  /** The images that are open now. */
  readonly openFiles: Set<string>;
  /** File names whose next flush fails. */
  readonly badFlush: Set<string>;
  /** File names that refuse permissions, as a locked file does. */
  readonly locked: Set<string>;
  readonly context: GraphContext;
  readonly drivers: readonly Driver[];
}

interface FileState {
  readonly name: string;
  readonly bytes: Buffer;
}

export function fakeHost(): FakeHost {
  const loop = new EventLoop();
  const warnings: string[] = [];
  const context = new GraphContext({
    loop,
    drivers: new DriverTable([]),
    makeOverlay: async (bytes) => {
      state.images.set('tmp', formatImage());
      return { filename: 'tmp', remove: () => void state.log.push(`remove tmp ${bytes}`) };
    },
    stderr: (line) => warnings.push(line),
  });
  const state = {
    images: new Map<string, Buffer>(),
    log: [] as string[],
    warnings,
    openFiles: new Set<string>(),
    badFlush: new Set<string>(),
    locked: new Set<string>(),
    context,
  };
  const drivers = [fileDriver(state), rawDriver(), formatDriver(state), passDriver(state)];
  context.drivers.add(drivers);
  return { ...state, drivers };
}

type HostState = Omit<FakeHost, 'drivers'>;

function fileDriver(host: HostState): Driver<FileState> {
  return {
    formatName: 'file',
    protocolName: 'file',
    needsFilename: true,
    strongOptions: ['filename'],
    mutableOptions: ['locking'],
    parseFilename: (filename, options) => stripProtocol(filename, 'file:', options),
    async open(node, options) {
      const { filename = '' } = absorbOptions(options, { filename: 'string', locking: 'string' });
      const bytes = host.images.get(filename);
      if (bytes === undefined) throw errorWithErrno(Errno.ENOENT, `Could not open '${filename}'`);
      node.state = { name: filename, bytes };
      host.log.push(`open ${filename}`);
      host.openFiles.add(filename);
    },
    async close(node) {
      host.log.push(`close ${node.state.name}`);
      host.openFiles.delete(node.state.name);
    },
    getLength: (node) => node.state.bytes.length,
    async preadv(node, offset, data) {
      if (node.state.name.startsWith('bad')) throw new BlockError(Errno.EIO);
      node.state.bytes.copy(data, 0, offset, offset + data.length);
    },
    async pwritev(node, offset, data) {
      data.copy(node.state.bytes, offset);
    },
    async flushToDisk(node) {
      host.log.push(`flush ${node.state.name}`);
      if (host.badFlush.delete(node.state.name)) throw new BlockError(Errno.EIO);
    },
    checkPermissions(node, perm) {
      if (host.locked.has(node.state.name) && (perm & 2) !== 0) {
        throw new BlockError(Errno.EAGAIN, 'Failed to get "write" lock');
      }
    },
    setPermissions(node, perm, shared) {
      host.log.push(`perm ${node.state.name} ${perm}/${shared}`);
    },
    abortPermissions(node) {
      host.log.push(`abort ${node.state.name}`);
    },
    ...noteReopen(host, (node) => node.state.name),
  };
}

function noteReopen<S>(host: HostState, name: (node: BlockNode<S>) => string): Partial<Driver<S>> {
  return {
    async reopenPrepare({ node, options }: ReopenState<S>) {
      const { refuse } = absorbOptions(options, { refuse: 'string' });
      if (refuse !== undefined) throw new BlockError(Errno.EINVAL, refuse === '' ? undefined : refuse);
      host.log.push(`prepare ${name(node)}`);
    },
    reopenCommit: ({ node }) => void host.log.push(`commit ${name(node)}`),
    reopenAbort: ({ node }) => void host.log.push(`reopen-abort ${name(node)}`),
  };
}

function rawDriver(): Driver {
  return {
    formatName: 'raw',
    strongOptions: ['offset', 'size'],
    mutableOptions: ['offset', 'size'],
    probe: () => 1,
    async open(node, options) {
      const { size } = absorbOptions(options, { size: 'size', offset: 'size' }, node.context);
      const role = size === undefined ? Role.FILTERED | Role.PRIMARY : Role.DATA | Role.PRIMARY;
      const file = await openChild(node, options, 'file', role);
      if (file === null) throw new Error('no child');
      if (node.probed && !node.isReadOnly) {
        refreshFilename(file.node);
        node.context.warn(`guessed raw: ${file.node.filename}`);
      }
    },
    getLength: (node) => node.file?.node.getLength() ?? 0,
    async preadv(node, offset, data, flags) {
      if (node.file !== null) await preadv(node.file, offset, data, flags);
    },
    async reopenPrepare({ node, options }) {
      absorbOptions(options, { size: 'size', offset: 'size' }, node.context);
    },
  };
}

/** An image is "FMT1", then the name of the backing file and its format, each ended by a newline. */
function formatDriver(host: HostState): Driver {
  return {
    formatName: 'fmt',
    isFormat: true,
    supportsBacking: true,
    mutableOptions: ['lazy', 'refuse'],
    probe: (head) => (Buffer.from(head.subarray(0, 4)).toString() === 'FMT1' ? 100 : 0),
    async open(node, options) {
      const { fail } = absorbOptions(options, { fail: 'string', lazy: 'bool' });
      const file = await openFileChild(node, options, 'file');
      if (fail !== undefined) throw new BlockError(Errno.EINVAL, fail === '' ? undefined : fail);
      const head = Buffer.alloc(512);
      await preadv(file, 0, head, 0);
      const [, backing = '', format = ''] = head.toString('latin1').replaceAll('\0', '').split('\n');
      node.backingFilename = backing;
      node.autoBackingFilename = backing;
      node.backingFormat = format;
      node.totalSectors = 8;
      host.log.push('open format');
    },
    async close() {
      host.log.push('close format');
    },
    async preadv(_node, _offset, data) {
      data.fill(0);
    },
    async flushToOs() {
      host.log.push('flush format');
    },
    ...noteReopen(host, () => 'format'),
  };
}

function passDriver(host: HostState): Driver {
  return defineFilter({
    formatName: 'pass',
    protocolName: 'pass',
    parseFilename(filename, options) {
      if (!filename.startsWith('pass:')) throw new BlockError(Errno.EINVAL, "File name string must start with 'pass:'");
      options.set('x-image', filename.slice('pass:'.length));
    },
    async open(node, options) {
      const { align, 'x-image': image } = absorbOptions(options, { align: 'size', 'x-image': 'string' }, node.context);
      await openFileChild(node, options, 'image', image);
      node.state = align ?? 0;
      host.log.push('open pass');
    },
    async close() {
      host.log.push('close pass');
    },
    refreshLimits(node) {
      if (typeof node.state === 'number' && node.state > 0) node.limits.requestAlignment = node.state;
    },
    async reopenPrepare() {},
  });
}

/** The contents of a "fmt" image. */
export function formatImage(backing = '', format = ''): Buffer {
  const image = Buffer.alloc(4096);
  image.write(`FMT1\n${backing}\n${format}\n`);
  return image;
}
