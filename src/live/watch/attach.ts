/** Watches another session through its socket: the panel over the whole terminal, or the lines as they come. */
import type { Socket } from 'node:net';
import { StringDecoder } from 'node:string_decoder';
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import { asciiText } from '../../util/ascii.ts';
import type { Paint } from '../../util/style.ts';
import { connectTo } from '../control/control-link.ts';
import { LiveModel } from '../panel/model.ts';
import { renderPanel } from '../panel/panel.ts';
import { parseLine, type RecordingLine, SCHEMA_VERSION, SchemaError, WANT_LATEST } from '../record/schema.ts';
import type { Size } from '../panel/screen.ts';
import { renderParts, part } from '../panel/styled-line.ts';

/** Far beyond any line of ours. */
const MAX_LINE_CHARS = 16 << 20;

/** A connection to a monitor that gives lines. */
class LineSocket {
  readonly #socket: Socket;
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** ENOENT or ECONNREFUSED if no session listens there. */
  static async open(path: string): Promise<LineSocket> {
    return new LineSocket(await connectTo(path));
  }

  say(line: string): void {
    this.#socket.write(`${line}\n`);
  }

  /**
   * Calls `take` for every line until the other side ends, or `stop` was called. What `take` throws ends it as well.
   */
  read(take: (line: string) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.on('data', (bytes: Buffer) => {
        try {
          this.#split(bytes, take);
        } catch (error) {
          reject(error);
          this.stop();
        }
      });
      // A session that died has ended as well.
      this.#socket.on('error', () => resolve());
      this.#socket.on('close', () => resolve());
    });
  }

  stop(): void {
    this.#socket.destroy();
  }

  #split(bytes: Buffer, take: (line: string) => void): void {
    const lines = (this.#rest + this.#decoder.write(bytes)).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > MAX_LINE_CHARS) throw new BlockError(Errno.EPROTO, 'The session sends a line without end');
    for (const line of lines) take(line);
  }
}

/**
 * Writes the lines of a session as they come, for programs: NDJSON, as in a recording. Resolves when the session ends.
 */
export async function attachLines(path: string, write: (text: string) => void): Promise<void> {
  const lines = await LineSocket.open(path);
  await lines.read((line) => write(`${line}\n`));
}

/** Which socket, and where what it says is shown. */
export interface AttachOptions {
  readonly path: string;
  readonly write: (text: string) => void;
  readonly size: Size;
  readonly paint: Paint;
  /** The locale is not UTF-8: marks and lines are ASCII. */
  readonly isAscii?: boolean;
}

const CSI = '\x1b[';
const enter = `${CSI}?1049h${CSI}?25l${CSI}2J`;
const leave = `${CSI}m${CSI}?25h${CSI}?1049l${CSI}?2026l`;
const DRAW_MS = 34;
/** Ages on the panel tick. */
const TICK_MS = 100;

/** The panel of another session over the whole terminal. */
export class AttachedView {
  readonly #options: AttachOptions;
  readonly #model = new LiveModel();
  #size: Size;
  #lines: LineSocket | null = null;
  /** The content of the screen. */
  #drawn: readonly string[] = [];
  #timer: NodeJS.Timeout | null = null;
  /** Remote time when it was heard last, and local time then. */
  #remoteNs = 0;
  #heardMs = 0;
  #hasEnded = false;
  #isEntered = false;

  constructor(options: AttachOptions) {
    this.#options = options;
    this.#size = options.size;
  }

  /**
   * Shows the session until it ends or `stop` is called. True if the session ended in order. The screen is restored.
   */
  async run(): Promise<boolean> {
    const lines = await LineSocket.open(this.#options.path);
    this.#lines = lines;
    lines.say(WANT_LATEST);
    this.#options.write(enter);
    this.#isEntered = true;
    try {
      await lines.read((text) => this.#take(text));
    } finally {
      if (this.#timer !== null) clearTimeout(this.#timer);
      this.#timer = null;
      this.#options.write(this.restore());
    }
    return this.#hasEnded;
  }

  /** Leaves the session alone. */
  stop(): void {
    this.#lines?.stop();
  }

  /** The terminal has another size: everything is drawn anew. */
  resize(size: Size): void {
    this.#size = size;
    if (!this.#isEntered) return;
    this.#drawn = [];
    this.#options.write(`${CSI}2J`);
    this.#draw();
  }

  /** Text to be written, synchronously, on any way out; empty if that was done. */
  restore(): string {
    if (!this.#isEntered) return '';
    this.#isEntered = false;
    return leave;
  }

  #take(text: string): void {
    const line = checkedLine(text);
    if (line === null) return;
    if (line.kind === 'header' && line.schema > SCHEMA_VERSION) {
      throw new BlockError(
        Errno.EPROTO,
        `The session speaks schema ${line.schema}; this program knows ${SCHEMA_VERSION}`,
      );
    }
    if (line.kind === 'end') this.#hasEnded = true;
    if ('timeNs' in line) {
      this.#remoteNs = line.timeNs;
      this.#heardMs = performance.now();
    }
    this.#model.take(line);
    this.#timer ??= setTimeout(() => this.#tick(), DRAW_MS);
  }

  #tick(): void {
    this.#timer = null;
    this.#draw();
    const { snapshot } = this.#model;
    if (snapshot !== null && (snapshot.requestCount + snapshot.suspendedCount > 0 || this.#model.perSecond > 0)) {
      this.#timer = setTimeout(() => this.#tick(), TICK_MS);
    }
  }

  #draw(): void {
    if (!this.#isEntered || this.#model.snapshot === null) return;
    const { columns, rows } = this.#size;
    const { paint, isAscii = false, path, write } = this.#options;
    const nowNs = this.#remoteNs + (performance.now() - this.#heardMs) * 1e6;
    this.#model.measureRate(nowNs);
    const lines = renderPanel(this.#model, { columns, rows: Math.max(1, rows - 1), nowNs, paint, isAscii });
    if (rows > 1) lines.push(footer(path, columns, paint, isAscii));
    let text = '';
    lines.forEach((line, row) => {
      if (line !== this.#drawn[row]) text += `${CSI}${row + 1};1H${CSI}m${line}`;
    });
    this.#drawn = lines;
    if (text !== '') write(`${CSI}?2026h${text}${CSI}?2026l`);
  }
}

function footer(path: string, columns: number, paint: Paint, isAscii: boolean): string {
  const line = renderParts([part(` ${path} \u2500\u2500 q leaves`, 'quiet')], columns, paint);
  return isAscii ? asciiText(line) : line;
}

function checkedLine(text: string): RecordingLine | null {
  try {
    return parseLine(text);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    throw new BlockError(Errno.EPROTO, `The session sends what is no record: ${error.message}`);
  }
}
