/** A session over an image in memory, below blkdebug and raw, for tests of the shell. */
import { type Compat, defaultCompat } from '../../src/block/compat.ts';
import type { Clock } from '../../src/block/loop/clock.ts';
import type { Driver } from '../../src/block/driver.ts';
import { BlockError } from '../../src/block/error.ts';
import { Open, Perm, Status } from '../../src/block/flags.ts';
import type { BlockNode } from '../../src/block/graph/node.ts';
import { absorbOptions, Options, type OptionValue } from '../../src/block/options/options.ts';
import { blkdebug } from '../../src/drivers/blkdebug/name.ts';
import { raw } from '../../src/drivers/raw/driver.ts';
import type { CommandTable } from '../../src/shell/command.ts';
import type { Output } from '../../src/shell/output/output.ts';
import { commandsOf } from '../../src/shell/commands/index.ts';
import { Session } from '../../src/shell/session.ts';
import type { Paint } from '../../src/util/style.ts';
import { Errno } from '../../src/util/errno.ts';

/** The bytes of every image by name. */
const images = new Map<string, Buffer>();

/** Host I/O, or for the image "bh" a bottom half, as null-aio has it. */
function hostIo(node: BlockNode<{ name: string }>): Promise<void> | undefined {
  return node.state.name === 'bh' ? node.loop.bottomHalf() : node.loop.hostIo();
}

/** A file driver over memory: host I/O, and nothing that a test cannot see. */
const memoryFile: Driver<{ name: string }> = {
  formatName: 'file',
  protocolName: 'file',
  needsFilename: true,
  hasVariableLength: true,
  strongOptions: ['filename'],
  async open(node, options) {
    const { filename: name = '' } = absorbOptions(options, { filename: 'string' });
    if (!images.has(name)) throw new BlockError(Errno.ENOENT, `Could not open '${name}': No such file or directory`);
    node.state = { name };
  },
  async reopenPrepare() {},
  checkPermissions(node, perm) {
    if (node.state.name === 'locked' && (perm & Perm.RESIZE) !== 0) {
      throw new BlockError(Errno.EAGAIN, 'Failed to get "resize" lock');
    }
  },
  getLength: (node) => images.get(node.state.name)?.length ?? 0,
  getInfo: () => ({ clusterBytes: 0, vmStateOffset: 0 }),
  async preadv(node, offset, data) {
    images.get(node.state.name)?.copy(data, 0, offset, offset + data.length);
    await hostIo(node);
  },
  async pwritev(node, offset, data) {
    data.copy(images.get(node.state.name) ?? Buffer.alloc(0), offset);
    await hostIo(node);
  },
  async pdiscard(node, offset, bytes) {
    images.get(node.state.name)?.fill(0, offset, offset + bytes);
    await hostIo(node);
  },
  async flushToDisk(node) {
    await hostIo(node);
  },
  async truncate(node, bytes) {
    if (bytes > 2 ** 30) throw new BlockError(Errno.EFBIG, 'Could not resize file: File too large');
    const old = images.get(node.state.name) ?? Buffer.alloc(0);
    images.set(node.state.name, Buffer.concat([old], bytes));
  },
  /** Whole 4 KiB blocks of zeroes are holes. */
  async blockStatus(node, _wantZero, offset, bytes) {
    const block = images.get(node.state.name)?.subarray(offset - (offset % 4096), offset - (offset % 4096) + 4096);
    const isHole = block === undefined || block.every((byte) => byte === 0);
    const rest = 4096 - (offset % 4096);
    const flags = (isHole ? Status.ZERO : Status.DATA) | Status.OFFSET_VALID;
    return { flags, bytes: Math.min(rest, bytes), map: offset, file: node };
  },
};

/** A clock whose time passes only while a coroutine waits for it. */
export class FakeClock implements Clock {
  now = 0;
  nowNs(): number {
    return this.now;
  }
  get recentNs(): number {
    return this.now;
  }
  hostNs(): number {
    return this.nowNs();
  }
  after(delayNs: number, callback: () => void): () => void {
    const handle = setImmediate(() => {
      this.now += delayNs;
      callback();
    });
    return () => clearImmediate(handle);
  }
}

export interface TestShell {
  readonly session: Session;
  /** Runs a line; its status. */
  readonly run: (line: string) => number | Promise<number>;
  /** Standard output since the last call, with times and rates taken out. */
  readonly out: () => string;
  /** Standard error since the last call, with times and rates taken out. */
  readonly err: () => string;
  readonly image: () => Buffer;
}

/** A session with an open image of 1 MiB, or none with `options` null. */
export async function testShell(
  options: Record<string, OptionValue> | null = {},
  settings: {
    isTerminal?: boolean;
    paint?: Paint;
    flags?: number;
    name?: string;
    writethrough?: boolean;
    clock?: Clock;
    compat?: Compat;
    /** Default: all commands of the version. */
    commands?: CommandTable;
    /** Gives what stands between the session and its output. */
    wrap?: (output: Output) => Output;
  } = {},
): Promise<TestShell> {
  const name = settings.name ?? 'disk';
  images.set(name, Buffer.alloc(1 << 20));
  let stdout = '';
  let stderr = '';
  const own: Output = {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    flush: () => {},
    drop: () => {
      stdout = '';
    },
    isTerminal: settings.isTerminal ?? false,
    paint: settings.paint,
  };
  const output = settings.wrap?.(own) ?? own;
  const compat = settings.compat ?? defaultCompat;
  const session = new Session(
    { output, drivers: [memoryFile, raw, blkdebug], clock: settings.clock ?? new FakeClock(), compat },
    settings.commands ?? commandsOf(compat),
  );
  if (options !== null) {
    const isOpen = await session.open({
      filename: null,
      options: new Options(
        Object.entries({ driver: 'raw', 'file.driver': 'blkdebug', 'file.image.filename': name, ...options }),
      ),
      flags: settings.flags ?? Open.READ_WRITE | Open.UNMAP,
      writethrough: settings.writethrough ?? false,
      forceShare: false,
    });
    if (!isOpen) throw new Error(stderr);
  }
  return {
    session,
    run: (line) => session.execute(line),
    out() {
      const text = stdout.replaceAll(/; .* ops\/sec\)/g, '; TIME');
      stdout = '';
      return text;
    },
    err() {
      const text = stderr;
      stderr = '';
      return text;
    },
    image: () => images.get(name) ?? Buffer.alloc(0),
  };
}
