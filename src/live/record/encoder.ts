/**
 * Records as lines of JSON. A second writer of JSON beside `JSON.stringify`, because a script of 20,000 commands makes
 * 200,000 records: with it, recording takes less time than the script itself. A test holds the two against each other.
 */
import type { TraceRecord } from '../../block/events/trace.ts';
import { LineShape } from './line-shape.ts';
import type { RecordingLine } from './schema.ts';

/** Takes lines; the memory is the encoder's again when it returns. */
export type LineSink = (lines: Buffer) => void;

const CAPACITY_BYTES = 64 << 10;
/** More than the numbers at the end of a line take, with what is around them. */
const OWN_BYTES = 64;
/** Records with longer names of node and operation together are written the slow way. */
const MAX_NAME_CHARS = 512;
/** Records with texts that may take more are written the slow way. */
const MAX_TEXT_BYTES = 16 << 10;
/** Nodes and operations are few; names that a script makes up without end are forgotten. */
const MAX_SHAPES = 4096;

const bytesPart = Buffer.from(',"bytes":');
const endPart = Buffer.from('}\n');

/** The lines that come often, by event or operation. */
interface NodeShapes {
  readonly events: Map<string, LineShape>;
  readonly begins: Map<string, LineShape>;
  readonly ends: Map<string, LineShape>;
  readonly texts: Map<string, LineShape>;
}

/** A line of JSON with its newline. `<` never appears, so that it can stand in a page's script. */
export function encodeLine(line: RecordingLine): string {
  return `${JSON.stringify(line).replaceAll('<', '\\u003c')}\n`;
}

/** Encodes the records of one run. */
export class Encoder {
  readonly #sink: LineSink;
  readonly #buffer = Buffer.allocUnsafeSlow(CAPACITY_BYTES);
  readonly #shapes = new Map<string, NodeShapes>();
  #shapeCount = 0;
  #length = 0;

  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  /** A record of the bus. */
  record(record: TraceRecord): void {
    switch (record.kind) {
      case 'event':
        if (this.#shared(record, 'events', record.event)) return;
        break;
      case 'request-begin':
        if (record.client !== undefined || record.parent !== undefined) break;
        if (!this.#shared(record, 'begins', record.operation)) break;
        this.#integer(offsetOf(record));
        this.#short(bytesPart);
        this.#integer(record.bytes);
        this.#short(endPart);
        return;
      case 'request-end':
        if (record.errno < 0 || !this.#shared(record, 'ends', record.operation)) break;
        this.#integer(record.errno);
        this.#short(endPart);
        return;
      case 'command':
      case 'output':
        if (this.#withText(record)) return;
        break;
      default:
        break;
    }
    this.line(withIntegerTime(record));
  }

  /** A record that has a text of its own; false, and nothing written, for one that is written the slow way. */
  #withText(record: Extract<TraceRecord, { readonly kind: 'command' | 'output' }>): boolean {
    if (record.client !== undefined) return false;
    const own = ownText(record);
    const bytes = own.length * 3 + OWN_BYTES + MAX_NAME_CHARS;
    if (bytes > MAX_TEXT_BYTES) return false;
    if (bytes > this.#buffer.length - this.#length) this.flush();
    if (!this.#shared(record, 'texts', record.kind === 'output' ? record.stream : record.kind)) return false;
    this.#length += this.#buffer.write(own, this.#length);
    return true;
  }

  /** Any line, the slow way. */
  line(line: RecordingLine): void {
    const text = encodeLine(line);
    // Three bytes is the most that a UTF-16 unit takes in UTF-8.
    if (text.length * 3 > this.#buffer.length) {
      this.flush();
      this.#sink(Buffer.from(text));
      return;
    }
    if (text.length * 3 > this.#buffer.length - this.#length) this.flush();
    this.#length += this.#buffer.write(text, this.#length);
  }

  /** Hands everything to the sink. */
  flush(): void {
    if (this.#length === 0) return;
    const lines = this.#buffer.subarray(0, this.#length);
    this.#length = 0;
    this.#sink(lines);
  }

  #ofNode(node: string): NodeShapes {
    let shapes = this.#shapes.get(node);
    if (shapes === undefined) {
      shapes = { events: new Map(), begins: new Map(), ends: new Map(), texts: new Map() };
      this.#shapes.set(node, shapes);
      this.#shapeCount += 1;
    }
    return shapes;
  }

  /**
   * Writes what a record shares with others of its kind, node and `what`, the event or operation. False, and nothing
   * written, for names that are too long to be kept.
   */
  #shared(record: TraceRecord, kind: keyof NodeShapes, what: string): boolean {
    if (record.node.length + what.length > MAX_NAME_CHARS) return false;
    const shapes = this.#ofNode(record.node)[kind];
    let shape = shapes.get(what);
    if (shape === undefined || !shape.become(record)) {
      if (shape === undefined) this.#shapeCount += 1;
      shape = shapeOf(record);
      shapes.set(what, shape);
    }
    const { line } = shape;
    if (line.length + OWN_BYTES > this.#buffer.length - this.#length) this.flush();
    this.#buffer.set(line, this.#length);
    this.#length += line.length;
    if (this.#shapeCount > MAX_SHAPES) this.#forget();
    return true;
  }

  #forget(): void {
    this.#shapes.clear();
    this.#shapeCount = 0;
  }

  /** So few bytes are copied faster by hand than by a call. */
  #short(bytes: Buffer): void {
    const buffer = this.#buffer;
    const start = this.#length;
    for (let at = 0; at < bytes.length; at += 1) buffer[start + at] = bytes[at] ?? 0;
    this.#length = start + bytes.length;
  }

  /** An integer of 0 to 2^53 in decimal digits. */
  #integer(value: number): void {
    if (value < 1e9) {
      this.#digits(value, digitCount(value));
      return;
    }
    const high = Math.floor(value / 1e9);
    this.#integer(high);
    this.#digits(value - high * 1e9, 9);
  }

  #digits(value: number, count: number): void {
    const buffer = this.#buffer;
    const start = this.#length;
    let rest = value | 0;
    for (let at = start + count - 1; at >= start; at -= 1) {
      const next = (rest / 10) | 0;
      buffer[at] = 0x30 + rest - next * 10;
      rest = next;
    }
    this.#length = start + count;
  }
}

function withIntegerTime(record: TraceRecord): TraceRecord {
  return { ...record, timeNs: Math.round(record.timeNs) };
}

/** The line of a record without the numbers that are written behind it. */
function shapeOf(record: TraceRecord): LineShape {
  const line = encodeLine(withIntegerTime(record));
  switch (record.kind) {
    case 'request-begin':
      return new LineShape(record, line, `${offsetOf(record)},"bytes":${record.bytes}}\n`.length);
    case 'request-end':
      return new LineShape(record, line, `${record.errno}}\n`.length);
    case 'command':
    case 'output':
      return new LineShape(record, line, Buffer.byteLength(ownText(record)));
    default:
      return new LineShape(record, line, 0);
  }
}

/** The end of the line of a record that has a text, from the text on. */
function ownText(record: Extract<TraceRecord, { readonly kind: 'command' | 'output' }>): string {
  if (record.kind === 'output') return `${encodedText(record.text)}}\n`;
  const syntax = record.syntax === undefined ? '' : ',"syntax":"extended"';
  return `${encodedText(record.line)},"depth":${record.depth}${syntax}}\n`;
}

function encodedText(text: string): string {
  return JSON.stringify(text).replaceAll('<', '\\u003c');
}

/** The offset of the one name that all records of a node have. */
function offsetOf({ guestOffset, fileOffset, offset }: Extract<TraceRecord, { kind: 'request-begin' }>): number {
  return guestOffset ?? fileOffset ?? offset ?? 0;
}

/** Digits of an integer below 10^9. */
function digitCount(value: number): number {
  let count = 1;
  for (let limit = 10; value >= limit; limit *= 10) count += 1;
  return count;
}
