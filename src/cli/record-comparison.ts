/** Holds the records of a session against those of a recording, one by one, as far as both must be the same. */
import { stripVTControlCharacters } from 'node:util';
import type { TraceRecord } from '../block/events/trace.ts';

/** The first difference. */
export interface Difference {
  /** "in command 12: write 0 64k" */
  readonly place: string;
  /** Null for nothing more. */
  readonly recorded: TraceRecord | null;
  readonly replayed: TraceRecord | null;
}

/** Commands that print how long something has lasted. */
const agedCommands: ReadonlySet<string> = new Set(['requests', 'suspended', 'state']);
const PLACE_CHARS = 200;

const clock = String.raw`(?:\d+:\d\d:\d\d\.\d\d|\d\d\.\d\d sec)`;
const number = String.raw`-?(?:\d+\.\d+|inf|nan)`;
const size = String.raw`-?(?:\d+(?:\.\d+)?|inf|nan)(?: [KMGTPE]iB| bytes)`;
/** Times and rates of requests, as a line of its own and with `-C`; the age of a cancelled request. */
const times = new RegExp(
  String.raw`${clock} \(${size}/sec and ${number} ops/sec\)|\d+:\d\d:\d\d\.\d\d,${number},${number}|for \d+\.\d s`,
  'g',
);

/** The comparison of one session. */
export class RecordComparison {
  difference: Difference | null = null;
  /** Records that were the same. */
  records = 0;
  /** The number of the session's own command that runs; 0 before the first. */
  command = 0;
  readonly #recorded: Iterator<TraceRecord>;
  readonly #ending: { readonly hasEnd: boolean };
  #next: TraceRecord | null | undefined = undefined;
  /** The innermost command that has begun last, and the outermost one. */
  #innermost = '';
  #outermost = '';

  /** `ending` tells behind the last record whether the recording ended in order; else what is missing is ignored. */
  constructor(recorded: Iterator<TraceRecord>, ending: { readonly hasEnd: boolean }) {
    this.#recorded = recorded;
    this.#ending = ending;
  }

  /** The next record of the recording; null at its end. */
  get next(): TraceRecord | null {
    if (this.#next === undefined) {
      const { value, done } = this.#recorded.next();
      this.#next = done === true ? null : value;
    }
    return this.#next;
  }

  /** A record of the session: it has to be the next one of the recording. */
  compare(replayed: TraceRecord): void {
    if (this.difference !== null) return;
    const recorded = this.next;
    if (replayed.kind === 'command') {
      this.#innermost = replayed.line.trim().split(' ', 1)[0] ?? '';
      if (replayed.depth === 0) this.#outermost = replayed.line;
    }
    if (recorded === null && !this.#ending.hasEnd) return;
    if (recorded === null || !this.#areSame(recorded, replayed)) {
      this.#differ(recorded, replayed);
      return;
    }
    this.records += 1;
    this.#next = undefined;
  }

  /** The session does nothing more, where the recording goes on. */
  miss(): void {
    if (this.next !== null) this.#differ(this.next, null);
  }

  /** Passes over a command that is not run, and what it printed. */
  skipCommand(): void {
    this.#next = undefined;
    for (let { next } = this; next !== null && isOfCommand(next); { next } = this) this.#next = undefined;
  }

  #differ(recorded: TraceRecord | null, replayed: TraceRecord | null): void {
    const line = this.#outermost.slice(0, PLACE_CHARS);
    const place = this.command === 0 ? 'before the first command' : `in or after command ${this.command}: ${line}`;
    this.difference = { place, recorded, replayed };
  }

  #areSame(recorded: TraceRecord, replayed: TraceRecord): boolean {
    if (recorded.kind === 'output' && replayed.kind === 'output') {
      const isAged = agedCommands.has(this.#innermost);
      return recorded.stream === replayed.stream && (isAged || comparable(recorded.text) === comparable(replayed.text));
    }
    return fixed(recorded) === fixed(replayed);
  }
}

function isOfCommand(record: TraceRecord): boolean {
  if (record.kind === 'command') return record.depth > 0;
  return record.kind === 'command-failed' || record.kind === 'output';
}

/** Text without times, rates and styles. */
function comparable(text: string): string {
  return stripVTControlCharacters(text).replaceAll(times, 'TIME');
}

/** A record without its place among others and its time, the members in one order. */
function fixed(record: TraceRecord): string {
  const entries = Object.entries(record).filter(
    ([name, value]) => name !== 'sequence' && name !== 'timeNs' && value !== undefined,
  );
  return JSON.stringify(entries.sort(([one], [other]) => (one < other ? -1 : 1)));
}
