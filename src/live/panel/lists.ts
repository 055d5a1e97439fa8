/** The lists of the panel: events, rules, and the requests that wait. */
import { ageText, compactCount, errnoText, partName, requestText } from '../../util/compact.ts';
import { textWidth } from '../../util/text-width.ts';
import type { EventNote } from '../../block/events/history.ts';
import { rowKey } from './focus.ts';
import type { EventRow, LiveModel } from './model.ts';
import type { SuspendedRequest } from '../../block/debug/port.ts';
import type { RuleView } from '../../block/debug/rules.ts';
import type { RequestInFlight } from '../../block/loop/in-flight.ts';
import type { Snapshot } from '../snapshot.ts';
import type { Style } from '../../util/style.ts';
import { type Field, fillParts, type Part, part, partsWidth, tableRow } from './styled-line.ts';

/** A list of the panel: its title, and rows of columns. */
export interface PanelList {
  readonly title: readonly Part[];
  /** Stands at the right of the title's line. */
  readonly titleEnd: readonly Part[];
  readonly fields: readonly Field[];
  readonly rows: readonly (readonly (readonly Part[])[])[];
  /** A last line across the columns; empty if there is none. */
  readonly rest: readonly Part[];
}

/** A list as lines of exactly `width` cells, its columns of these widths. */
export function drawList(
  { title, titleEnd, fields, rows, rest }: PanelList,
  widths: readonly number[],
  width: number,
): Part[][] {
  const gap = width - partsWidth(title) - partsWidth(titleEnd);
  const head = gap > 0 ? [...title, part(' '.repeat(gap)), ...titleEnd] : title;
  const lines = [head, ...rows.map((cells) => tableRow(fields, widths, cells))];
  if (rest.length > 0) lines.push(rest);
  return lines.map((line) => fillParts(line, width));
}

/**
 * The latest events, newest first, with how many there were in all and how many a second. Its widths change seldom:
 * rows come too fast for columns that follow them. `newest` is the number of the newest one to be shown; null for the
 * latest.
 */
export function eventList(model: LiveModel, rows: number, newest: number | null = null): PanelList {
  const latest = model.latest(rows, newest);
  const numberWidth = Math.max(4, `#${latest[0]?.number ?? 0}`.length);
  const whoWidth = Math.max(3, widest(latest.map(({ who }) => who)));
  const notesWidth = Math.max(8, ...latest.map(({ notes }) => partsWidth(noteParts(notes))));
  return {
    title: [part('EVENTS', 'bold')],
    titleEnd: model.total === 0 ? [] : [part(newest === null ? countText(model) : 'scrolled back', 'quiet')],
    fields: [
      { ideal: numberWidth },
      { ideal: model.eventWidth },
      { ideal: whoWidth },
      { ideal: notesWidth, cutsMiddle: true },
    ],
    rows: latest.map(eventCells),
    rest: latest.length === 0 ? [part(model.total === 0 ? 'none yet' : 'none that the filter shows', 'quiet')] : [],
  };
}

/** "12,345 in all, 830/s" */
function countText({ total, perSecond }: LiveModel): string {
  const rate = perSecond >= 1 ? `, ${compactCount(perSecond)}/s` : '';
  return `${total.toLocaleString('en')} in all${rate}`;
}

function eventCells({ number, event, who, notes }: EventRow): Part[][] {
  return [
    [part(`#${number}`, 'quiet')],
    [part(event, notes.length > 0 ? 'bold' : 'plain')],
    [part(who, 'cyan')],
    noteParts(notes),
  ];
}

/** The consequences of an event (an error injected, a request suspended, a state set), a space between two of them. */
export function noteParts(notes: readonly EventNote[]): Part[] {
  return notes.flatMap((note, index) => (index === 0 ? [notePart(note)] : [part(' '), notePart(note)]));
}

function notePart(note: EventNote): Part {
  switch (note.kind) {
    case 'suspend':
      return part(`\u25a0 ${note.tag}`, 'yellow');
    case 'resume':
      return part(`\u25b8 ${note.tag}`, 'green');
    case 'error':
      return part(`\u00d7 ${errnoText(note.errno)}`, 'red');
    case 'state':
      return part(`${note.from}\u2192${note.to}`, 'green');
    case 'wait':
      return part(waitText(note.on), 'quiet');
    case 'hazard':
      return part('! hazard', 'red');
  }
}

// Rules

function widest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map(textWidth));
}

const actionWords: Readonly<Partial<Record<RuleView['kind'], string>>> = {
  'inject-error': 'inject',
  'set-state': 'state',
  suspend: 'break',
};

/** The rules with their hits, those that can still act before the others. */
export function ruleList(snapshot: Snapshot | null, rows: number): PanelList {
  const title = [part('RULES', 'bold')];
  const none = { title, titleEnd: [], fields: [], rows: [] };
  if (snapshot === null || snapshot.debugNode === null) return { ...none, rest: [part(NO_RULES, 'quiet')] };
  const shown = shownRules(snapshot, rows);
  const rest = snapshot.ruleCount - shown.length;
  return {
    title,
    titleEnd: shown.length === 0 ? [] : [part('hits', 'quiet')],
    fields: [
      { ideal: Math.max(2, widest(shown.map(({ number }) => String(number)))), alignRight: true },
      { ideal: widest(shown.map(actionText)), cutsMiddle: true },
      { ideal: widest(shown.map(({ event }) => event)) },
      { ideal: widest(shown.map(({ conditions }) => conditions)) },
      { ideal: widest(shown.map(statusText)) },
      { ideal: Math.max(2, widest(shown.map(({ hits }) => String(hits)))), alignRight: true },
    ],
    rows: shown.map(ruleCells),
    rest: rest > 0 ? [part(`and ${rest} more`, 'quiet')] : shown.length === 0 ? [part('none', 'quiet')] : [],
  };
}

const NO_RULES = 'no blkdebug in the chain';

function shownRules({ rules, ruleCount }: Snapshot, rows: number): RuleView[] {
  return pickRules(rules, ruleCount > rows ? rows - 1 : rows);
}

/** The newest rules, in order; those that can still act before those that cannot. */
function pickRules(rules: readonly RuleView[], room: number): RuleView[] {
  const armed = rules.filter(({ status }) => status === 'armed').slice(-room);
  const others = rules.filter(({ status }) => status !== 'armed').slice(-Math.max(0, room - armed.length));
  const kept = room > armed.length ? [...armed, ...others] : armed;
  return kept.sort((a, b) => a.number - b.number);
}

function actionText({ kind, effect }: RuleView): string {
  return `${actionWords[kind] ?? kind} ${effect}`;
}

function statusText({ status, active }: RuleView): string {
  if (status === 'disabled') return 'off';
  if (status === 'exhausted') return 'done';
  return active ? 'active' : status;
}

function ruleCells(rule: RuleView): Part[][] {
  const { number, kind, event, conditions, status, active, hits } = rule;
  const style: Style = status === 'armed' ? 'plain' : 'quiet';
  const statusStyle: Style = active ? 'red' : status === 'armed' ? 'green' : 'quiet';
  return [
    [part(String(number), 'quiet')],
    [part(actionText(rule), status === 'armed' && kind === 'inject-error' ? 'magenta' : style)],
    [part(event, style)],
    [part(conditions, 'quiet')],
    [part(statusText(rule), statusStyle)],
    [part(String(hits), hits > 0 ? 'bold' : 'quiet')],
  ];
}

// Suspended requests, and others that wait

/** A row of the list of requests in flight, as text. */
interface WaitingRow {
  readonly tag: string;
  readonly who: string;
  readonly request: string;
  readonly reason: string;
  readonly age: string;
  readonly isSuspended: boolean;
  /** Its name for the one that chooses; see `rowKey`. */
  readonly key: string;
}

/**
 * The requests in flight, suspended ones first, each with how long it has waited at `nowNs` (nanoseconds of the
 * session's clock). `chosen` is the row that is marked, by its key; null while none is.
 */
export function waitingList(
  snapshot: Snapshot | null,
  nowNs: number,
  rows: number,
  chosen: string | null = null,
): PanelList {
  const title = [part('SUSPENDED', 'bold')];
  if (snapshot === null) return { title, titleEnd: [], fields: [], rows: [], rest: [] };
  const { suspended, requests } = snapshot;
  const listed = new Set(suspended.map(({ request }) => request));
  const others = requests.filter(({ request }) => !listed.has(request));
  // The lists of a snapshot are cut, its counts are not.
  const total = snapshot.suspendedCount + Math.max(others.length, snapshot.requestCount - snapshot.suspendedCount);
  const all = [...suspended.map((one) => suspendedRow(one, nowNs)), ...others.map((one) => waitingRow(one, nowNs))];
  const room = total > rows ? rows - 1 : rows;
  const at = chosen === null ? 0 : all.findIndex(({ key }) => key === chosen);
  const start = Math.max(0, Math.min(at - Math.floor(room / 2), all.length - room));
  const mark = (row: WaitingRow): string => (chosen === null ? '' : row.key === chosen ? '\u25b8 ' : '  ');
  const shown = all.slice(start, start + room).map((row) => ({ ...row, tag: mark(row) + row.tag }));
  const rest = total - shown.length;
  return {
    title,
    titleEnd: [],
    fields: [
      { ideal: widest(shown.map(({ tag }) => tag)), cutsMiddle: true },
      { ideal: Math.max(3, widest(shown.map(({ who }) => who))) },
      { ideal: widest(shown.map(({ request }) => request)) },
      { ideal: widest(shown.map(({ reason }) => reason)) },
      { ideal: Math.max(4, widest(shown.map(({ age }) => age))), alignRight: true },
    ],
    rows: shown.map(waitingCells),
    rest: rest > 0 ? [part(`and ${rest} more`, 'quiet')] : total === 0 ? [part('none', 'quiet')] : [],
  };
}

/** An arrow, and what is waited for: "w4", "alloc of w4", "lock qcow2". */
function waitText(on: string): string {
  return `\u2190 ${on.replace('allocation of', 'alloc of')}`;
}

function suspendedRow(one: SuspendedRequest, nowNs: number): WaitingRow {
  const request = shortRequest(one.operation, one.guestOffset, one.bytes);
  return {
    tag: one.tag,
    who: partName(one.operation, one.request, one.parent),
    request,
    reason: one.client === undefined ? one.event : `${one.event}, ${one.client}`,
    age: ageText(nowNs - one.sinceNs),
    isSuspended: true,
    key: rowKey(one.request, one.tag),
  };
}

/** A request that waits for something else than a breakpoint: no tag, and in place of the event what it waits for. */
function waitingRow(one: RequestInFlight, nowNs: number): WaitingRow {
  const request = shortRequest(one.operation, one.guestOffset, one.bytes);
  const reason = waitText(one.waitsFor);
  return {
    tag: '\u00b7',
    who: partName(one.operation, one.request, one.parent),
    request,
    reason,
    age: ageText(nowNs - one.sinceNs),
    isSuspended: false,
    key: rowKey(one.request, null),
  };
}

function waitingCells({ tag, who, request, reason, age, isSuspended }: WaitingRow): Part[][] {
  const style: Style = isSuspended ? 'plain' : 'quiet';
  return [
    [part(tag, isSuspended ? 'yellow' : 'quiet')],
    [part(who, 'cyan')],
    [part(request, style)],
    [part(reason, style)],
    [part(age, isSuspended ? 'bold' : 'quiet')],
  ];
}

function shortRequest(operation: string, offset: number | null, bytes: number | null): string {
  return requestText(operation.replace(/^aio_/, ''), offset, bytes);
}
