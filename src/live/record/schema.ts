/** The lines of a kept run and of the monitor's stream: their types, their version, and the check of lines from outside. */
import type { FiredEvent } from '../../block/events/history.ts';
import type { TraceDetail, TraceRecord } from '../../block/events/trace.ts';
import type { Picture } from '../snapshot.ts';

/** Goes up when a line changes so that old readers would misread it. New kinds and new members do not count. */
export const SCHEMA_VERSION = 1;

/** What a watcher says, on a line, who wants to see the latest events now and then instead of every record. */
export const WANT_LATEST = '{"want":"latest"}';

/** The first line. */
export interface HeaderLine {
  readonly kind: 'header';
  readonly schema: number;
  /** Name and version of the program that wrote it. */
  readonly program: string;
  /** Wall clock when the recording began, ISO 8601, and the same moment in the clock of all other times. */
  readonly startedAt: string;
  readonly startedNs: number;
  /** What was run, for the reader: the words of the command line. */
  readonly command: readonly string[];
}

/** The current picture: at the beginning, at the end, and whenever somebody asked for one. */
export interface PictureLine extends Picture {
  readonly kind: 'picture';
}

/** Something to tell about the stream itself: records left out for a slow reader, a torn line. */
export interface NoteLine {
  readonly kind: 'note';
  readonly text: string;
  /** How many records are missing here. */
  readonly dropped: number;
}

/** The last line of a recording that was ended in order. */
export interface EndLine {
  readonly kind: 'end';
  readonly timeNs: number;
  /** How many records of the bus there are. */
  readonly records: number;
}

/** The latest events, for a watcher who said `WANT_LATEST`. */
export interface EventsLine {
  readonly kind: 'events';
  /** Number of the event that changed the state last; 0 if none did. */
  readonly stateChangedAt: number;
  /** Newest first. */
  readonly latest: readonly FiredEvent[];
}

/** Any line of a kept run. */
export type RunLine = HeaderLine | PictureLine | EventsLine | NoteLine | EndLine | TraceRecord;

type Kind = RunLine['kind'];
type Member = 'count' | 'text' | 'number' | 'list' | 'text?' | 'object?';

/** Members of every record of the bus. */
const base = { sequence: 'count', timeNs: 'count', request: 'count', node: 'text' } as const;

/** What each kind of line must have; further members are allowed. */
export const members: Readonly<Record<Kind, Readonly<Record<string, Member>>>> = {
  header: { schema: 'count', program: 'text', startedAt: 'text', startedNs: 'count', command: 'list' },
  picture: {
    timeNs: 'count',
    nodes: 'list',
    debugNode: 'text?',
    state: 'object?',
    ruleCount: 'count',
    rules: 'list',
    suspendedCount: 'count',
    suspended: 'list',
    requestCount: 'count',
    requests: 'list',
  },
  events: { stateChangedAt: 'count', latest: 'list' },
  note: { text: 'text', dropped: 'count' },
  end: { timeNs: 'count', records: 'count' },
  'request-begin': { ...base, operation: 'text', offset: 'count', bytes: 'count' },
  'request-end': { ...base, operation: 'text', errno: 'number' },
  event: { ...base, event: 'text' },
  'rule-hit': { ...base, rule: 'count', event: 'text' },
  'rule-skip': { ...base, rule: 'count', event: 'text', reason: 'text' },
  'error-injected': { ...base, rule: 'count', errno: 'number' },
  'state-change': { ...base, from: 'number', to: 'number', rule: 'count' },
  suspend: { ...base, tag: 'text', event: 'text' },
  resume: { ...base, tag: 'text' },
  'lock-wait': { ...base, on: 'text' },
};

/** The lists of a picture, and what their entries must have. */
const pictureLists: Readonly<Record<string, Readonly<Record<string, Member>>>> = {
  nodes: { name: 'text', driver: 'text', file: 'text' },
  rules: {
    number: 'count',
    action: 'text',
    event: 'text',
    effect: 'text',
    conditions: 'text',
    status: 'text',
    hits: 'count',
    lastSkip: 'text?',
  },
  suspended: {
    tag: 'text',
    request: 'count',
    operation: 'text',
    offset: 'count',
    bytes: 'count',
    event: 'text',
    sinceNs: 'count',
  },
  requests: { request: 'count', operation: 'text', waitsFor: 'text', startedNs: 'count', sinceNs: 'count' },
};

const firedEvent = { number: 'count', event: 'text', request: 'count', operation: 'text', notes: 'list' } as const;

const is: Readonly<Record<Member, (value: unknown) => boolean>> = {
  count: (value) => typeof value === 'number' && value >= 0,
  number: (value) => typeof value === 'number',
  text: (value) => typeof value === 'string',
  list: Array.isArray,
  'text?': (value) => value === null || typeof value === 'string',
  'object?': (value) => typeof value === 'object' && !Array.isArray(value),
};

/** Thrown for a line that is not one of ours. */
export class SchemaError extends Error {}

/**
 * A line as a value. `SchemaError` says what is wrong with it; null for a kind of a later version, which is to be passed
 * over.
 */
export function parseLine(text: string): RunLine | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new SchemaError('not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new SchemaError('not an object');
  const line = value as Record<string, unknown>;
  const { kind } = line;
  if (typeof kind !== 'string') throw new SchemaError("no 'kind'");
  if (!Object.hasOwn(members, kind)) return null;
  check(line, members[kind as Kind], kind);
  if (kind === 'picture') checkPicture(line);
  if (kind === 'events') checkEntries(line, 'latest', firedEvent);
  return line as unknown as RunLine;
}

function check(object: Record<string, unknown>, wanted: Readonly<Record<string, Member>>, where: string): void {
  for (const name of Object.keys(wanted)) {
    const member = wanted[name] as Member;
    if (!is[member](object[name])) throw new SchemaError(`'${name}' of ${where} is missing or wrong`);
  }
}

function checkPicture(picture: Record<string, unknown>): void {
  for (const list of Object.keys(pictureLists)) checkEntries(picture, list, pictureLists[list] ?? {});
  if (picture.state !== null) checkState(picture.state as Record<string, unknown>);
}

function checkEntries(line: Record<string, unknown>, list: string, wanted: Readonly<Record<string, Member>>): void {
  for (const entry of line[list] as unknown[]) {
    if (typeof entry !== 'object' || entry === null) throw new SchemaError(`an entry of '${list}' is no object`);
    check(entry as Record<string, unknown>, wanted, list);
  }
}

function checkState(state: Record<string, unknown>): void {
  check(state, { value: 'number', change: 'object?' }, 'state');
  if (state.change !== null) {
    const change = state.change as Record<string, unknown>;
    check(change, { from: 'number', to: 'number', rule: 'count', timeNs: 'count' }, 'the change of the state');
  }
}

/** Whether a line is a record of the bus. */
export function isRecord(line: RunLine): line is TraceRecord {
  return 'sequence' in line;
}

// A kind of record that is added to the bus must be added to the schema.
type Missing = Exclude<TraceDetail['kind'], Kind>;
const complete: [Missing] extends [never] ? true : never = true;
void complete;
