/**
 * Standard output and error with the buffering of a C program, so that `2>&1` interleaves as qemu-io's does.
 *
 * Two layers. What a C program would still hold in its stdio buffer is not *committed* and is lost if the program
 * aborts. What it would have handed to the kernel is committed; it reaches the kernel a little later, in few large
 * writes, but always before anything that could show the difference: a write to standard error, a turn of Node's event
 * loop (a program that waits for our prompt waits for that, and scripts give one every few milliseconds), the end of
 * the program.
 */
import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import type { Output, OutputKind, OutputTap } from '../shell/output/output.ts';
import { isTerminal } from '../sys/tty.ts';
import type { Paint } from '../util/style.ts';
import type { Pending } from '../util/steps.ts';
import { harmless, printable } from '../util/printable.ts';

/** glibc's BUFSIZ: the size of a stdio buffer where the file system does not ask for less. */
const BUFSIZ = 8192;
/** Committed bytes are handed to the kernel at once from here on. */
const COALESCE_BYTES = 64 << 10;
/** The most that a UTF-16 unit takes in UTF-8. */
const MAX_UNIT_BYTES = 3;
/** A reader that is too slow is tried again after this time. */
const RETRY_MS = 5;
/** Likewise where nothing else can be done meanwhile. */
const SYNC_RETRY_MS = 2;
/** Text is encoded at the latest when there is so much of it: its pieces are still in the processor's caches then. */
const MAX_TEXT_UNITS = 4 << 10;

/** The size of the terminal at standard output, in characters. */
export function terminalSize(): { columns: number; rows: number } {
  return { columns: process.stdout.columns, rows: process.stdout.rows };
}

/**
 * Called around each write to the terminal: takes the line being typed away, runs `write`, which writes `text`, draws
 * the line again.
 */
export type WriteGuard = (write: () => void, text: string) => void;

/** Both streams of the program; every byte that it prints goes through here. */
export class Stdio implements Output {
  readonly stdoutIsTerminal: boolean;
  readonly isTerminal: boolean;
  /** Standard output is a terminal that can do more than print: TERM=dumb cannot. */
  readonly hasCursor: boolean;
  /** Whether what was written last, to either stream, ended its line. */
  endsLine = true;
  /** Styles, if standard output is a terminal that has any. */
  paint: Paint | undefined;
  /** Set while a prompt is shown. */
  guard: WriteGuard | null = null;
  /** Text to be written to the terminal last of all, whichever way the program ends. */
  farewell: (() => string) | null = null;

  tap: OutputTap | null = null;
  /** Set by a prompt that can turn pages. */
  page: ((text: string) => Promise<void>) | undefined;

  /** For a terminal at standard error. */
  readonly progress: ((line: string) => void) | undefined;

  readonly #out: number;
  readonly #err: number;
  readonly #stderrIsTerminal: boolean;
  #showsProgress = false;
  /** Bytes that stdio holds back; 0 for a terminal, where every line goes out. */
  readonly #capacity: number;
  readonly #dead = new Set<number>();
  /** Standard output: `#committed` bytes for the kernel, then up to `#end` what stdio still holds. */
  #buffer = Buffer.allocUnsafeSlow(2 * COALESCE_BYTES);
  #committed = 0;
  #end = 0;
  /** Text behind that which is not encoded yet, as many short texts at once cost less: first what is committed. */
  #committedText = '';
  #text = '';
  #scheduled = false;
  /** Bytes for a reader that is too slow, in their order. */
  #backlog: { readonly fd: number; bytes: Buffer }[] = [];
  #retryTimer: NodeJS.Timeout | null = null;
  readonly #drainWaiters: (() => void)[] = [];
  #isAbandoned = false;

  constructor(out = 1, err = 2) {
    this.#out = withoutWaiting(out);
    this.#err = withoutWaiting(err);
    this.stdoutIsTerminal = isTerminal(out);
    this.hasCursor = this.stdoutIsTerminal && process.env.TERM !== 'dumb';
    this.#stderrIsTerminal = isTerminal(err);
    this.isTerminal = this.stdoutIsTerminal && this.#stderrIsTerminal;
    this.progress = this.#stderrIsTerminal ? (line) => this.#showProgress(line) : undefined;
    this.#capacity = this.stdoutIsTerminal ? 0 : stdioBufferBytes(out);
  }

  get columns(): number | undefined {
    const { columns } = process.stdout;
    // 0 on a terminal that has not been told its size.
    return this.stdoutIsTerminal && columns > 0 ? columns : undefined;
  }

  /** Text for standard output. */
  stdout(text: string, kind?: OutputKind): void {
    if (this.tap !== null && kind !== 'prompt') this.tap('stdout', text, null);
    this.#text += this.stdoutIsTerminal ? harmless(text) : text;
    const heldBytes = this.#committedText === '' ? this.#end - this.#committed : 0;
    if (heldBytes + this.#text.length * MAX_UNIT_BYTES > this.#capacity) this.#encode();
  }

  /** Encodes the texts and commits what stdio would have handed to the kernel. */
  #encode(): void {
    this.#encodeCommitted();
    const text = this.#text;
    if (text === '') return;
    this.#text = '';
    this.#append(text);
    const held = this.#end - this.#committed;
    if (held <= this.#capacity) return;
    // stdio fills its buffer to the last byte and empties it when one more comes.
    this.#committed = this.#capacity === 0 ? this.#end : this.#committed + (held - 1 - ((held - 1) % this.#capacity));
    this.#afterCommit();
  }

  #encodeCommitted(): void {
    const text = this.#committedText;
    if (text === '') return;
    this.#committedText = '';
    this.#append(text);
    this.#committed = this.#end;
  }

  #append(text: string): void {
    if (text.length * MAX_UNIT_BYTES > this.#buffer.length - this.#end) this.#makeRoom(text);
    this.#end += this.#buffer.write(text, this.#end);
  }

  /** Text for standard error, which has no buffer. Standard output's held bytes stay behind, as they do in C. */
  stderr(text: string): void {
    if (this.tap !== null) this.tap('stderr', text, null);
    const shown = this.#stderrIsTerminal ? harmless(text) : text;
    const bytes = Buffer.from(shown);
    this.#encode();
    this.#guarded(shown, () => {
      this.#writeCommitted();
      this.#writeAll(this.#err, bytes, 0, bytes.length);
    });
  }

  /** `fflush(stdout)`. */
  flush(): void {
    if (this.#text === '') {
      if (this.#committedText !== '' || this.#committed === this.#end) return;
      this.#committed = this.#end;
    } else {
      this.#committedText += this.#text;
      this.#text = '';
      if (this.#committedText.length > MAX_TEXT_UNITS) this.#encodeCommitted();
    }
    this.#afterCommit();
  }

  /** Hands everything committed to the kernel. */
  sync(): void {
    this.#encode();
    this.#handOver();
  }

  #handOver(): void {
    if (this.#committed === 0) return;
    this.#guarded('', () => this.#writeCommitted());
  }

  /** The orderly end: nothing is held back any more. */
  end(): void {
    this.flush();
    this.sync();
    this.#sayFarewell();
    this.#writeBacklog();
  }

  /** Before a sudden death: what went out reaches the kernel, what stdio holds is lost. */
  drop(): void {
    this.sync();
    this.#end = 0;
    this.#sayFarewell();
    this.#writeBacklog();
  }

  #afterCommit(): void {
    if (this.#committed + this.#committedText.length >= COALESCE_BYTES) {
      this.sync();
    } else if (!this.#scheduled) {
      this.#scheduleSync();
    }
  }

  #scheduleSync(): void {
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.sync();
    });
  }

  #makeRoom(text: string): void {
    this.#handOver();
    const needed = this.#end + text.length * MAX_UNIT_BYTES;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(needed);
    this.#buffer.copy(larger, 0, 0, this.#end);
    this.#buffer = larger;
  }

  #showProgress(line: string): void {
    this.sync();
    this.#eraseProgress();
    // In the middle of a line there is no place for it.
    if (line === '' || !this.endsLine) return;
    this.#showsProgress = true;
    const { columns } = process.stderr;
    writeQuietly(this.#err, printable(line).slice(0, columns - 1));
  }

  #eraseProgress(): void {
    if (!this.#showsProgress) return;
    this.#showsProgress = false;
    writeQuietly(this.#err, '\r\x1b[K');
  }

  /** Runs `write`, which writes what is committed and then `text`. */
  #guarded(text: string, write: () => void): void {
    this.#eraseProgress();
    if (this.guard === null) write();
    else this.guard(write, this.#buffer.toString('utf8', 0, this.#committed) + text);
  }

  #sayFarewell(): void {
    const bytes = Buffer.from(this.farewell?.() ?? '');
    this.farewell = null;
    this.#writeAll(this.#out, bytes, 0, bytes.length);
  }

  #writeCommitted(): void {
    if (this.#committed === 0) return;
    this.#writeAll(this.#out, this.#buffer, 0, this.#committed);
    this.#buffer.copyWithin(0, this.#committed, this.#end);
    this.#end -= this.#committed;
    this.#committed = 0;
    if (this.#buffer.length > 2 * COALESCE_BYTES && this.#end < COALESCE_BYTES) {
      const smaller = Buffer.allocUnsafeSlow(2 * COALESCE_BYTES);
      this.#buffer.copy(smaller, 0, 0, this.#end);
      this.#buffer = smaller;
    }
  }

  /**
   * Writes it all. A reader that went away, or a full disk, ends the stream and not the program, as for qemu-io, which
   * ignores SIGPIPE and does not look at what printf returns. A non-blocking pipe that is full is waited for.
   */
  #writeAll(fd: number, bytes: Buffer, start: number, end: number): void {
    if (end > start) this.endsLine = bytes[end - 1] === 0x0a;
    const position = this.#backlog.length > 0 ? start : this.#writeNow(fd, bytes, start, end);
    if (position >= end) return;
    this.#backlog.push({ fd, bytes: Buffer.from(bytes.subarray(position, end)) });
    this.#retryTimer ??= setTimeout(() => this.#retry(), RETRY_MS);
  }

  /** Writes what the reader takes now; how far that was. A stream that has ended takes everything. */
  #writeNow(fd: number, bytes: Buffer, start: number, end: number): number {
    let position = start;
    while (position < end && !this.#dead.has(fd)) {
      try {
        position += writeSync(fd, bytes, position, end - position);
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code === 'EAGAIN') return position;
        if (code !== 'EINTR') this.#dead.add(fd);
      }
    }
    return end;
  }

  #retry(): void {
    this.#retryTimer = null;
    for (;;) {
      const [first] = this.#backlog;
      if (first === undefined) break;
      const position = this.#writeNow(first.fd, first.bytes, 0, first.bytes.length);
      if (position < first.bytes.length) {
        first.bytes = first.bytes.subarray(position);
        this.#retryTimer = setTimeout(() => this.#retry(), RETRY_MS);
        return;
      }
      this.#backlog.shift();
    }
    for (const wake of this.#drainWaiters.splice(0)) wake();
  }

  /** Waits until a slow reader has taken everything that was handed over; undefined if it has. */
  drained(): Pending {
    if (this.#backlog.length === 0 || this.#isAbandoned) return undefined;
    return new Promise((resolve) => this.#drainWaiters.push(resolve));
  }

  /** Nothing waits for the reader any more: the program is told to end. */
  abandonBacklog(): void {
    this.#isAbandoned = true;
    for (const wake of this.#drainWaiters.splice(0)) wake();
  }

  /** Waits here and now for a slow reader, unless the program is told to end. */
  #writeBacklog(): void {
    while (this.#backlog.length > 0 && !this.#isAbandoned) {
      this.#retry();
      if (this.#backlog.length > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SYNC_RETRY_MS);
    }
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
  }
}

/** For text that may be lost: it is left out where it cannot be written at once. */
function writeQuietly(fd: number, text: string): void {
  try {
    writeSync(fd, text);
  } catch {
    // The terminal is gone, or busy.
  }
}

/**
 * A descriptor of the same pipe that does not wait while it is full: in a write that waits no signal is noticed. The
 * inherited one stays as it is, since other programs share it.
 */
function withoutWaiting(fd: number): number {
  try {
    return fstatSync(fd).isFIFO() ? openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK) : fd;
  } catch {
    return fd;
  }
}

function stdioBufferBytes(fd: number): number {
  try {
    const { blksize } = fstatSync(fd);
    return blksize > 0 && blksize < BUFSIZ ? blksize : BUFSIZ;
  } catch {
    return BUFSIZ;
  }
}
