/** Records as lines of JSON, made byte by byte: a run of 20,000 commands has 140,000 of them. */
import type { TraceRecord } from '../block/trace.ts';
import type { RunLine } from './record-schema.ts';

/** Takes lines; the memory is the encoder's again when it returns. */
export type LineSink = (lines: Buffer) => void;

const CAPACITY_BYTES = 64 << 10;
/** More than any record takes besides its cached parts. */
const NUMBERS_BYTES = 192;
/** Nodes and operations are few; names that a script makes up without end are not kept. */
const MAX_CACHED = 4096;

/** So few bytes are copied faster by hand than by a call. */
const SHORT_BYTES = 16;

const SEQUENCE = '{"sequence":';
const sequencePart = Buffer.from(SEQUENCE);
const timePart = Buffer.from(',"timeNs":');
const requestPart = Buffer.from(',"request":');
const bytesPart = Buffer.from(',"bytes":');
/** The end of a record goes together with the beginning of the next: few long pieces are copied faster than many short ones. */
const END = `}\n${SEQUENCE}`;
const endPart = Buffer.from(END);

/** A line of JSON with its newline. `<` never appears, so that it can stand in a page's script. */
export function encodeLine(line: RunLine): string {
  return `${JSON.stringify(line).replaceAll('<', '\\u003c')}\n`;
}

export class Encoder {
  readonly #sink: LineSink;
  readonly #buffer = Buffer.allocUnsafeSlow(CAPACITY_BYTES);
  /** The constant middle of records, by node and then by what they say. */
  readonly #middles = new Map<string, Map<string, Buffer>>();
  #cached = 0;
  #length = 0;
  /** The beginning of the next record is there already. */
  #hasBegun = false;

  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  /** Bytes that the sink has not got yet. */
  get pendingBytes(): number {
    return this.#hasBegun ? this.#length - sequencePart.length : this.#length;
  }

  record(record: TraceRecord): void {
    switch (record.kind) {
      case 'event':
        this.#begin(record, 'event', record.event);
        break;
      case 'request-begin':
        this.#begin(record, 'request-begin', record.operation);
        this.#integer(record.offset);
        this.#bytes(bytesPart);
        this.#integer(record.bytes);
        this.#bytes(endPart);
        break;
      case 'request-end':
        if (record.errno < 0) {
          this.line({ ...record, timeNs: Math.round(record.timeNs) });
          break;
        }
        this.#begin(record, 'request-end', record.operation);
        this.#integer(record.errno);
        this.#bytes(endPart);
        break;
      default:
        this.line({ ...record, timeNs: Math.round(record.timeNs) });
    }
  }

  /** Any line, the slow way. */
  line(line: RunLine): void {
    this.#takeBeginningBack();
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
    this.#takeBeginningBack();
    if (this.#length === 0) return;
    const lines = this.#buffer.subarray(0, this.#length);
    this.#length = 0;
    this.#sink(lines);
  }

  #begin(record: TraceRecord, kind: 'event' | 'request-begin' | 'request-end', what: string): void {
    const middle = this.#middle(record.node, kind, what);
    if (middle.length + NUMBERS_BYTES > this.#buffer.length - this.#length) this.flush();
    if (!this.#hasBegun) this.#bytes(sequencePart);
    this.#integer(record.sequence);
    this.#bytes(timePart);
    this.#integer(Math.round(record.timeNs));
    this.#bytes(requestPart);
    this.#integer(record.request);
    this.#bytes(middle);
    this.#hasBegun = true;
  }

  #takeBeginningBack(): void {
    if (this.#hasBegun) this.#length -= sequencePart.length;
    this.#hasBegun = false;
  }

  #middle(node: string, kind: 'event' | 'request-begin' | 'request-end', what: string): Buffer {
    let ofNode = this.#middles.get(node);
    if (ofNode === undefined) {
      if (this.#cached > MAX_CACHED) this.#forget();
      ofNode = new Map();
      this.#middles.set(node, ofNode);
      this.#cached += 1;
    }
    // Names of events and operations differ, but for the begin and the end of one operation.
    const key = kind === 'request-end' ? `/${what}` : what;
    let middle = ofNode.get(key);
    if (middle === undefined) {
      const tail = {
        event: { event: what },
        'request-begin': { operation: what, offset: 0 },
        'request-end': { operation: what, errno: 0 },
      };
      const text = encodeLine({ node, kind, ...tail[kind] } as unknown as RunLine);
      // "{…,"offset":0}\n": what comes behind the opening brace, up to the number; an event has none, and is whole.
      const inner = kind === 'event' ? `${text.slice(1, -2)}${END}` : text.slice(1, -3);
      middle = Buffer.from(`,${inner}`);
      ofNode.set(key, middle);
      this.#cached += 1;
    }
    return middle;
  }

  #forget(): void {
    this.#middles.clear();
    this.#cached = 0;
  }

  #bytes(bytes: Buffer): void {
    const { length } = bytes;
    const start = this.#length;
    this.#length = start + length;
    if (length > SHORT_BYTES) {
      this.#buffer.set(bytes, start);
      return;
    }
    const buffer = this.#buffer;
    for (let at = 0; at < length; at += 1) buffer[start + at] = bytes[at] ?? 0;
  }

  /** An integer of 0 to 2^53 in decimal digits. */
  #integer(value: number): void {
    if (value < 1e9) {
      this.#digits(value, digitCount(value));
      return;
    }
    const high = Math.floor(value / 1e9);
    if (high < 1e9) this.#digits(high, digitCount(high));
    else this.#integer(high);
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

/** Digits of an integer below 10^9. */
function digitCount(value: number): number {
  let count = 1;
  for (let limit = 10; value >= limit; limit *= 10) count += 1;
  return count;
}
