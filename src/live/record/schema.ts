/**
 * The lines of a recording and of the monitor's stream: their types, their version, and the check of lines from
 * outside.
 */
import { ruleKinds } from '../../block/debug/rules.ts';
import type { FiredEvent, HazardCount } from '../../block/events/history.ts';
import { hazardKinds, type TraceRecord } from '../../block/events/trace.ts';
import type { Snapshot } from '../snapshot.ts';
import {
  byKind,
  type Check,
  count,
  flag,
  integer,
  isObject,
  list,
  type Members,
  object,
  oneOf,
  optional,
  orNull,
  SchemaError,
  text,
  texts,
  time,
} from './value-checks.ts';
import { upgradeLine } from './old-schemas.ts';

export { SchemaError } from './value-checks.ts';

/** Goes up when a line changes so that old readers would misread it. New kinds and new members do not count. */
export const SCHEMA_VERSION = 3;

/** The line with which a client asks for the latest events now and then instead of every record. */
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
  /** The command line, for the reader: the words of the command line. */
  readonly command: readonly string[];
  /** The width of the terminal that the session prints to, in characters; left out if it is none. */
  readonly columns?: number;
  /** The version of the methods that the session serves on this socket; left out in recordings. */
  readonly control?: number;
}

/** A snapshot: at the beginning, at the end, and when rules or the image have changed. */
export interface SnapshotLine extends Snapshot {
  readonly kind: 'snapshot';
}

/** A remark on the stream itself: records left out for a slow client, a torn line. */
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

/** The latest events, for a client that said `WANT_LATEST`. */
export interface EventsLine {
  readonly kind: 'events';
  /** Number of the event that changed the state last; 0 if none did. */
  readonly stateChangedAt: number;
  /** Left out if there was none. */
  readonly hazards?: HazardCount;
  /** Newest first. */
  readonly latest: readonly FiredEvent[];
}

/** Any line of a recording. */
export type RecordingLine = HeaderLine | SnapshotLine | EventsLine | NoteLine | EndLine | TraceRecord;

type Kind = RecordingLine['kind'];

/** Members of every record of the bus. */
const base = { sequence: count, timeNs: time, request: count, node: text } as const;

const rule = object('rules', {
  number: count,
  kind: oneOf(...ruleKinds),
  event: text,
  effect: text,
  conditions: text,
  settings: texts,
  status: oneOf('armed', 'exhausted', 'disabled'),
  active: flag,
  hits: count,
  injected: count,
  lastSkip: orNull(object('lastSkip', { condition: text, text })),
});

const suspendedRequest = object('suspended', {
  tag: text,
  request: count,
  operation: text,
  guestOffset: orNull(count),
  bytes: orNull(count),
  event: text,
  sinceNs: time,
  client: optional(text),
  parent: optional(count),
});

const requestInFlight = object('requests', {
  request: count,
  operation: text,
  guestOffset: orNull(count),
  bytes: orNull(count),
  waitsFor: text,
  startedNs: time,
  sinceNs: time,
  client: optional(text),
  parent: optional(count),
});

const errorPlace = {
  root: optional(count),
  operation: optional(text),
  guestOffset: optional(count),
  guestBytes: optional(count),
  fileOffset: optional(count),
  fileBytes: optional(count),
} as const;

const stateChange = object('the change of the state', {
  from: integer,
  to: integer,
  rule: count,
  event: orNull(text),
  request: count,
  operation: text,
  timeNs: time,
});

const note = byKind({
  suspend: object('notes', { kind: text, tag: text }),
  resume: object('notes', { kind: text, tag: text }),
  error: object('notes', { kind: text, errno: integer, rule: count, ...errorPlace }),
  state: object('notes', { kind: text, from: integer, to: integer, rule: count }),
  wait: object('notes', { kind: text, on: text }),
  hazard: object('notes', { kind: text, text }),
});

const firedEvent = object('latest', {
  number: count,
  event: text,
  request: count,
  operation: text,
  parent: count,
  node: text,
  onDebugNode: flag,
  notes: list(note),
});

const ruleNumber = { ...base, rule: count } as const;

/** Members that each kind of line must have, besides `kind`. Further ones are passed over. */
export const members: Readonly<Record<Kind, Members>> = {
  header: {
    schema: count,
    program: text,
    startedAt: text,
    startedNs: time,
    command: list(text),
    columns: optional(count),
    control: optional(count),
  },
  snapshot: {
    timeNs: time,
    nodes: list(object('nodes', { name: text, driver: text, file: text })),
    debugNode: orNull(text),
    state: orNull(object('state', { value: integer, change: orNull(stateChange) })),
    ruleCount: count,
    rules: list(rule),
    suspendedCount: count,
    suspended: list(suspendedRequest),
    requestCount: count,
    requests: list(requestInFlight),
  },
  events: {
    stateChangedAt: count,
    hazards: optional(object('hazards', { count, number: count, text })),
    latest: list(firedEvent),
  },
  note: { text, dropped: count },
  end: { timeNs: time, records: count },
  'request-begin': {
    ...base,
    operation: text,
    guestOffset: optional(count),
    fileOffset: optional(count),
    offset: optional(count),
    bytes: count,
    client: optional(text),
    parent: optional(count),
  },
  'request-end': { ...base, operation: text, errno: integer },
  event: { ...base, event: text },
  'rule-hit': { ...ruleNumber, event: text },
  'rule-skip': { ...ruleNumber, event: text, reason: text },
  'error-injected': { ...ruleNumber, errno: integer, ...errorPlace },
  'fault-injected': { ...ruleNumber, fault: text },
  'state-change': { ...base, from: integer, to: integer, rule: count },
  suspend: { ...base, tag: text, event: text },
  resume: { ...base, tag: text },
  'lock-wait': { ...base, on: text },
  hazard: {
    ...base,
    hazard: oneOf(...hazardKinds),
    text,
    other: count,
    fileOffset: count,
    bytes: count,
    guestOffset: optional(count),
  },
  'rule-added': { ...ruleNumber, view: rule },
  'rule-changed': { ...ruleNumber, view: rule },
  'rule-enabled': ruleNumber,
  'rule-disabled': ruleNumber,
  'rule-exhausted': ruleNumber,
  'rule-removed': ruleNumber,
  command: { ...base, line: text, depth: count, syntax: optional(oneOf('extended')), client: optional(text) },
  'command-failed': { ...base, depth: count, errno: count },
  output: { ...base, stream: oneOf('stdout', 'stderr'), text, client: optional(text) },
  'image-opened': base,
  'image-reopened': base,
  'image-closing': base,
  'image-closed': base,
};

/** The kinds of the records of the bus. */
export const recordKinds: readonly string[] = Object.entries(members)
  .filter(([, known]) => Object.hasOwn(known, 'sequence'))
  .map(([kind]) => kind);

/** Members in the order in which the encoder has them: those of every record come before the kind. */
const lines: ReadonlyMap<string, Check> = new Map(
  Object.entries(members).map(([kind, known]) => {
    const first = Object.hasOwn(known, 'sequence') ? base : {};
    return [kind, object(kind, { ...first, kind: text, ...known })];
  }),
);

/**
 * A line as a value, without members that are not known. Lines of schema 1 and 2 become those of today. `SchemaError`
 * says what is wrong with a line; null for a kind of a later version, which is to be passed over.
 */
export function parseLine(line: string): RecordingLine | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new SchemaError('not JSON');
  }
  return checkLine(value);
}

/** `parseLine` for a value of JSON. */
export function checkLine(value: unknown): RecordingLine | null {
  if (!isObject(value)) throw new SchemaError('not an object');
  const upgraded = upgradeLine(value);
  if (typeof upgraded.kind !== 'string') throw new SchemaError("no 'kind'");
  const line = (lines.get(upgraded.kind)?.(upgraded) ?? null) as RecordingLine | null;
  if (line?.kind === 'request-begin' && beginOffset(line) === null)
    throw new SchemaError("'guestOffset', 'fileOffset' or 'offset' of request-begin is missing");
  return line;
}

/** The offset of a `request-begin`, in bytes, and what it is one of: '' if an old recording does not say it. */
export function beginOffset({ guestOffset, fileOffset, offset }: Extract<TraceRecord, { kind: 'request-begin' }>): {
  readonly of: 'guest' | 'file' | '';
  readonly offset: number;
} | null {
  if (guestOffset !== undefined) return { of: 'guest', offset: guestOffset };
  if (fileOffset !== undefined) return { of: 'file', offset: fileOffset };
  return offset === undefined ? null : { of: '', offset };
}

/** Whether a line is a record of the bus. */
export function isRecord(line: RecordingLine): line is TraceRecord {
  return 'sequence' in line;
}
