/** Images over files of the host in a temporary folder, opened as the program opens them. */
import { closeSync, ftruncateSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import type { BlockBackend } from '../../src/block/backend.ts';
import { type Clock, systemClock } from '../../src/block/loop/clock.ts';
import type { Pending } from '../../src/util/steps.ts';
import { BlockError } from '../../src/block/error.ts';
import { Open } from '../../src/block/flags.ts';
import { closeBackend } from '../../src/block/graph/graph.ts';
import { EventLoop } from '../../src/block/loop/loop.ts';
import { GraphContext } from '../../src/block/graph/context.ts';
import type { UserObject } from '../../src/block/user-object.ts';
import { openBackend } from '../../src/block/open/open.ts';
import { Options, type OptionValue } from '../../src/block/options/options.ts';
import { drivers } from '../../src/drivers/index.ts';
import { outcome } from './memory-node.ts';
import { makeFolder } from './sandbox.ts';
import { DriverTable } from '../../src/block/open/driver-table.ts';

export class HostImages {
  readonly folder = makeFolder();
  readonly loop: EventLoop;
  /** Warnings of drivers, a line each. */
  readonly warnings: string[] = [];
  readonly context: GraphContext;
  readonly #images: BlockBackend[] = [];

  constructor({ clock = systemClock, objects }: { clock?: Clock; objects?: ReadonlyMap<string, UserObject> } = {}) {
    this.loop = new EventLoop(clock);
    this.context = new GraphContext({
      loop: this.loop,
      drivers: new DriverTable(drivers),
      ...(objects === undefined ? {} : { objects }),
      stderr: (line) => this.warnings.push(line),
    });
  }

  path(name: string): string {
    return path.join(this.folder, name);
  }

  /** A sparse file of this length, with runs of one byte value: offset, bytes, value. */
  file(name: string, lengthBytes: number, ...runs: readonly (readonly [number, number, number])[]): string {
    const fd = openSync(this.path(name), 'w+');
    ftruncateSync(fd, lengthBytes);
    for (const [offset, bytes, value] of runs) writeSync(fd, Buffer.alloc(bytes, value), 0, bytes, offset);
    closeSync(fd);
    return this.path(name);
  }

  bytes(name: string): Buffer {
    return readFileSync(this.path(name));
  }

  /** Opens options without a file name of their own. */
  async open(
    options: Record<string, OptionValue>,
    flags: number = Open.READ_WRITE | Open.UNMAP,
    filename: string | null = null,
  ): Promise<BlockBackend> {
    const image = await this.#run(() =>
      openBackend(this.context, { filename, options: new Options(Object.entries(options)), flags }),
    );
    this.#images.push(image);
    return image;
  }

  /** The message with which an open fails. */
  async refusal(options: Record<string, OptionValue>, flags?: number, filename?: string): Promise<string> {
    try {
      await this.open(options, flags, filename);
    } catch (error) {
      if (error instanceof BlockError) return error.message;
      throw error;
    }
    throw new Error('it was opened');
  }

  async close(image: BlockBackend): Promise<void> {
    this.#images.splice(this.#images.indexOf(image), 1);
    await this.#run(() => closeBackend(image));
  }

  /** Runs something that may wait, in a coroutine as the program does. */
  async #run<T>(body: () => Promise<T>): Promise<T> {
    let result: { readonly value: T } | undefined;
    const error = await outcome(this.loop, async () => {
      result = { value: await body() };
    });
    if (error !== undefined) throw error;
    if (result === undefined) throw new Error('neither a result nor an error');
    return result.value;
  }

  /** Runs a request to its end: 0 or its errno. */
  async errno(body: () => Pending): Promise<number> {
    const error = await outcome(this.loop, body);
    if (error === undefined) return 0;
    if (error instanceof BlockError) return error.errno;
    throw error;
  }

  /** Runs a request to its end, which must be an error: its text. */
  async message(body: () => Pending): Promise<string> {
    const error = await outcome(this.loop, body);
    if (error instanceof BlockError) return error.message;
    throw new Error('no error', { cause: error });
  }

  /** Reads a range; throws if that fails. */
  async read(image: BlockBackend, offset: number, bytes: number): Promise<Buffer> {
    const data = Buffer.alloc(bytes, 0xee);
    const error = await outcome(this.loop, () => image.pread(offset, data));
    if (error !== undefined) throw error;
    return data;
  }

  /** Writes one byte value: 0 or the errno. */
  write(image: BlockBackend, offset: number, bytes: number, value: number): Promise<number> {
    return this.errno(() => image.pwrite(offset, Buffer.alloc(bytes, value), 0));
  }

  async remove(): Promise<void> {
    for (let image = this.#images[0]; image !== undefined; image = this.#images[0]) await this.close(image);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
