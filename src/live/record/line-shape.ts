/**
 * Lines that differ in few digits: among the records of one node and kind, each is the one before with another
 * sequence, time and request. So the line before is kept, and the digits that have changed are written into it.
 */
import type { TraceRecord } from '../../block/events/trace.ts';

const BEFORE_SEQUENCE = '{"sequence":';
const BEFORE_TIME = ',"timeNs":';
const BEFORE_REQUEST = ',"request":';

/** Digits of the nanoseconds of a second. */
const NANOSECOND_DIGITS = 9;
const SECOND_NS = 10 ** NANOSECOND_DIGITS;
/** Integers up to here are divided as such. */
const MAX_INTEGER = 0x7fffffff;

/** A line, or its part before the numbers that only its kind has. */
export class LineShape {
  readonly line: Buffer;
  readonly #sequence: Digits;
  /** Where the second of the record began. */
  readonly #secondNs: number;
  readonly #nanoseconds: Digits;
  readonly #request: Digits;

  /**
   * `line` is that of `record`, its time an integer; its last `ownLength` characters, all ASCII, are its kind's own.
   */
  constructor(record: TraceRecord, line: string, ownLength: number) {
    const whole = Buffer.from(line);
    this.line = whole.subarray(0, whole.length - ownLength);
    this.#sequence = new Digits(BEFORE_SEQUENCE.length, String(record.sequence));
    const time = String(Math.round(record.timeNs));
    const timeStart = this.#sequence.end + BEFORE_TIME.length;
    const secondDigits = Math.max(0, time.length - NANOSECOND_DIGITS);
    this.#secondNs = Number(time.slice(0, secondDigits)) * SECOND_NS;
    this.#nanoseconds = new Digits(timeStart + secondDigits, time.slice(secondDigits), secondDigits > 0);
    this.#request = new Digits(this.#nanoseconds.end + BEFORE_REQUEST.length, String(record.request));
  }

  /**
   * Makes the line that of another record of its kind, node and event or operation; false if it has other counts of
   * digits.
   */
  become(record: TraceRecord): boolean {
    const { sequence, request } = record;
    const nanoseconds = Math.round(record.timeNs) - this.#secondNs;
    if (!this.#sequence.fit(sequence) || !this.#nanoseconds.fit(nanoseconds) || !this.#request.fit(request))
      return false;
    this.#sequence.write(this.line, sequence);
    this.#nanoseconds.write(this.line, nanoseconds);
    this.#request.write(this.line, request);
    return true;
  }
}

/** A number in a line, with a fixed count of digits. */
class Digits {
  /** Where it ends in the line. */
  readonly end: number;
  readonly #smallest: number;
  readonly #largest: number;
  #value: number;

  constructor(start: number, digits: string, mayHaveLeadingZeros = false) {
    const { length } = digits;
    this.end = start + length;
    this.#smallest = mayHaveLeadingZeros || length === 1 ? 0 : 10 ** (length - 1);
    this.#largest = Math.min(10 ** length - 1, MAX_INTEGER);
    this.#value = Number(digits);
    // Above that there is no counting on: the line fits nothing.
    if (this.#value > MAX_INTEGER) this.#smallest = Number.POSITIVE_INFINITY;
  }

  fit(value: number): boolean {
    return value >= this.#smallest && value <= this.#largest;
  }

  /** From the right, up to the digits that stay. */
  write(line: Buffer, value: number): void {
    let before = this.#value;
    let now = value;
    this.#value = value;
    for (let at = this.end - 1; now !== before; at -= 1) {
      const rest = (now / 10) | 0;
      line[at] = 0x30 + now - rest * 10;
      now = rest;
      before = (before / 10) | 0;
    }
  }
}
