/** Standard input as command lines: files and devices are read at once, pipes and sockets as their data arrives. */
import { fstatSync, readSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { loadNow } from '../util/load-now.ts';
import { isTerminal } from '../sys/tty.ts';
import { LineSplitter } from '../shell/data/line-splitter.ts';
import type { LineSource } from '../shell/script.ts';

/** Little, so that what lies in memory is no burden for the collector. */
const CHUNK_BYTES = 16 << 10;

/**
 * A source that can be ended from outside: after `stop`, `next` gives null, and so does one that is being waited for.
 */
export interface StoppableSource extends LineSource {
  stop(): void;
}

/** The lines of a file descriptor. What cannot be read (a folder, a closed descriptor) is empty, as for qemu-io. */
export function openInput(fd = 0): StoppableSource {
  if (isTerminal(fd)) {
    const { ReadStream } = loadNow('node:tty');
    return new StreamSource(new ReadStream(fd), null);
  }
  if (!arrivesInPieces(fd)) return new FileSource(fd);
  const { Socket } = loadNow('node:net');
  try {
    return new StreamSource(new Socket({ fd, readable: true, writable: false }), fd);
  } catch {
    return new FileSource(fd);
  }
}

function arrivesInPieces(fd: number): boolean {
  try {
    const stats = fstatSync(fd);
    return stats.isFIFO() || stats.isSocket();
  } catch {
    return false;
  }
}

/** Something that never makes its reader wait: a regular file, /dev/null, a folder. */
class FileSource implements StoppableSource {
  readonly #fd: number;
  readonly #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  readonly #lines = new LineSplitter();
  #ended = false;
  #stopped = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  next(): string | null {
    while (!this.#stopped) {
      const line = this.#lines.shift();
      if (line !== null) return line;
      if (this.#ended) return this.#lines.takeRest();
      this.#read();
    }
    return null;
  }

  stop(): void {
    this.#stopped = true;
  }

  #read(): void {
    const bytes = readNow(this.#fd, this.#chunk);
    if (bytes > 0) this.#lines.push(this.#chunk.subarray(0, bytes));
    if (bytes <= 0 || this.#lines.isTooLong) this.#ended = true;
  }
}

/**
 * Something whose data arrives when it wants to. The stream flows only while a line is being waited for: it would read
 * ahead, and a chunk that it holds comes before what the descriptor has.
 */
class StreamSource implements StoppableSource {
  readonly #stream: Readable;
  /** A non-blocking descriptor, which may be read at any time; null if it may not. */
  readonly #fd: number | null;
  readonly #chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  readonly #lines = new LineSplitter();
  #ended = false;
  #stopped = false;
  /** Called when the line that `next` promised can be taken. */
  #waiter: (() => void) | null = null;

  constructor(stream: Readable, fd: number | null) {
    this.#stream = stream;
    this.#fd = fd;
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.on('end', () => this.#finish());
    stream.on('close', () => this.#finish());
    // A terminal that hangs up, a connection that is reset: the end of the input.
    stream.on('error', () => this.#finish());
  }

  next(): string | null | Promise<string | null> {
    if (this.#stopped) return null;
    let line = this.#lines.shift();
    // What lies in the pipe goes before everything else: the order of events does not depend on which end is faster.
    while (line === null && !this.#ended && this.#readMore()) line = this.#lines.shift();
    if (line !== null) return line;
    if (this.#ended) return this.#lines.takeRest();
    return this.#arrival();
  }

  async #arrival(): Promise<string | null> {
    for (;;) {
      await new Promise<void>((resolve) => {
        this.#waiter = resolve;
        this.#stream.resume();
      });
      if (this.#stopped) return null;
      const line = this.#lines.shift();
      if (line !== null) return line;
      if (this.#ended) return this.#lines.takeRest();
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#stream.destroy();
    this.#wake();
  }

  #readMore(): boolean {
    // What it gives arrives in `#receive`.
    if (this.#stream.readableLength > 0 && this.#stream.read() !== null) return true;
    if (this.#fd === null || this.#stream.destroyed) return false;
    const bytes = readNow(this.#fd, this.#chunk);
    if (bytes < 0) return false;
    if (bytes === 0) this.#finish();
    else this.#add(this.#chunk.subarray(0, bytes));
    return true;
  }

  #receive(chunk: Buffer): void {
    this.#stream.pause();
    this.#add(chunk);
    this.#wake();
  }

  #add(chunk: Buffer): void {
    this.#lines.push(chunk);
    if (this.#lines.isTooLong) this.#finish();
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stream.destroy();
    this.#wake();
  }

  #wake(): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.();
  }
}

/** Reads what is there into `chunk`: how many bytes, 0 at the end and after an error, -1 if there is nothing yet. */
function readNow(fd: number, chunk: Buffer): number {
  try {
    return readSync(fd, chunk);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return code === 'EAGAIN' || code === 'EINTR' ? -1 : 0;
  }
}
