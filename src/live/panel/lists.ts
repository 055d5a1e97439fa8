/** The lists of the panel: events, rules, and the requests that wait. */
import { ageText, errnoText, requestName, requestText } from '../../util/compact.ts';
import { textWidth } from '../../util/text-width.ts';
import type { EventNote } from '../../block/events/history.ts';
import type { EventRow, LiveModel } from './model.ts';
import type { SuspendedRequest } from '../../block/debug/port.ts';
import type { RuleView } from '../../block/debug/rules.ts';
import type { RequestInFlight } from '../../block/loop/in-flight.ts';
import type { Snapshot } from '../snapshot.ts';
import type { Style } from '../../util/style.ts';
import { type Field, fitFields, idealWidth, type Part, part, partsWidth, tableRow } from './styled-line.ts';

/** Numbers are shown whole or not at all. */
function eventFields(rows: readonly EventRow[]): Field[] {
  const numberWidth = Math.max(4, `#${rows[0]?.number ?? 0}`.length);
  const whoWidth = Math.max(3, ...rows.map(({ who }) => who.length));
  return [
    { min: numberWidth, ideal: numberWidth, drop: 1 },
    { min: 11, ideal: 20, grow: 1 },
    { min: whoWidth, ideal: whoWidth, drop: 2 },
    { min: 5, ideal: 30, grow: 2 },
  ];
}

/** The list of the latest events, newest first: a title and at most `rows` lines of at most `width` cells. */
export function drawEvents(model: LiveModel, width: number, rows: number): Part[][] {
  const latest = model.latest(rows);
  const fields = eventFields(latest);
  const widths = fitFields(fields, width);
  const lines = [[part('EVENTS', 'bold')], ...latest.map((row) => tableRow(fields, widths, eventCells(row)))];
  if (latest.length === 0) lines.push([part('none yet', 'quiet')]);
  return lines;
}

function eventCells({ number, event, who, notes }: EventRow): Part[][] {
  return [
    [part(`#${number}`, 'quiet')],
    [part(event, notes.length > 0 ? 'bold' : 'plain')],
    [part(who, 'cyan')],
    noteParts(notes),
  ];
}

/** What came of an event (an error injected, a request suspended, a state set), a space between two of them. */
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
      return part(`waits for ${note.on}`, 'quiet');
  }
}

// Rules

/** A column is as wide as what is in it, if there is room. */
function ruleFields(rules: readonly RuleView[]): Field[] {
  const actionWidth = widest(rules.map(actionText));
  const eventWidth = widest(rules.map(({ event }) => event));
  const conditionsWidth = widest(rules.map(({ conditions }) => conditions));
  const hitsWidth = Math.max('hits'.length, widest(rules.map(({ hits }) => String(hits))));
  return [
    { min: 2, ideal: Math.max(2, widest(rules.map(({ number }) => String(number)))), alignRight: true },
    { min: Math.min(10, actionWidth), ideal: actionWidth, grow: 1 },
    { min: Math.min(8, eventWidth), ideal: eventWidth, drop: 3, grow: 2 },
    { min: Math.min(8, conditionsWidth), ideal: conditionsWidth, drop: 1, grow: 3 },
    { min: 5, ideal: 5, drop: 2 },
    { min: 2, ideal: hitsWidth, alignRight: true, grow: 4 },
  ];
}

function widest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map(textWidth));
}

const actionWords: Readonly<Record<RuleView['kind'], string>> = {
  'inject-error': 'inject',
  'set-state': 'state',
  suspend: 'break',
};

/** The list of the rules with their hits: a title and at most `rows` lines of at most `width` cells. */
export function drawRules(snapshot: Snapshot | null, width: number, rows: number): Part[][] {
  const title = part('RULES', 'bold');
  const hits = part('hits', 'quiet');
  const lines = [[title, part(' '.repeat(Math.max(1, width - partsWidth([title, hits])))), hits]];
  if (snapshot === null || snapshot.debugNode === null) return [...lines, [part(NO_RULES, 'quiet')]];
  if (snapshot.ruleCount === 0) return [...lines, [part('none', 'quiet')]];
  const shown = shownRules(snapshot, rows);
  const fields = ruleFields(shown);
  const widths = fitFields(fields, width);
  for (const rule of shown) lines.push(tableRow(fields, widths, ruleCells(rule)));
  const rest = snapshot.ruleCount - shown.length;
  if (rest > 0) lines.push([part(`and ${rest} more`, 'quiet')]);
  return lines;
}

const NO_RULES = 'no blkdebug in the chain';

/** The cells that the list of rules can use. Rules seldom change: what others gain or lose by that stays where it is. */
export function rulesWidth(snapshot: Snapshot | null, rows: number): number {
  const fields = ruleFields(snapshot === null ? [] : shownRules(snapshot, rows));
  return Math.max(NO_RULES.length, idealWidth(fields));
}

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
  return `${actionWords[kind]} ${effect}`;
}

function ruleCells(rule: RuleView): Part[][] {
  const { number, kind, event, conditions, status, hits } = rule;
  const style: Style = status === 'armed' ? 'plain' : 'quiet';
  return [
    [part(String(number), 'quiet')],
    [part(actionText(rule), status === 'armed' && kind === 'inject-error' ? 'magenta' : style)],
    [part(event, style)],
    [part(conditions, 'quiet')],
    [part(status === 'disabled' ? 'off' : status, status === 'armed' ? 'green' : 'quiet')],
    [part(String(hits), hits > 0 ? 'bold' : 'quiet')],
  ];
}

// Suspended requests, and others that wait

/** What is left of a row goes to the column before the age, which stands at the right. */
const LAST_WIDTH = 1000;

/** A row of the list of those that wait, as text. */
interface WaitingRow {
  readonly tag: string;
  readonly who: string;
  readonly request: string;
  readonly reason: string;
  readonly age: string;
  readonly isHeld: boolean;
}

function waitingFields(rows: readonly WaitingRow[]): Field[] {
  const whoWidth = Math.max(3, widest(rows.map(({ who }) => who)));
  const tagWidth = Math.min(12, widest(rows.map(({ tag }) => tag)));
  const requestWidth = widest(rows.map(({ request }) => request));
  const reasonWidth = widest(rows.map(({ reason }) => reason));
  return [
    { min: Math.min(2, tagWidth), ideal: tagWidth, grow: 3 },
    { min: whoWidth, ideal: whoWidth },
    { min: Math.min(10, requestWidth), ideal: requestWidth, drop: 2, grow: 1 },
    { min: Math.min(9, reasonWidth), ideal: LAST_WIDTH, drop: 1, grow: 4 },
    { min: 4, ideal: 5, alignRight: true },
  ];
}

/**
 * The list of requests in flight, suspended ones first, each with how long it has waited at `nowNs` (nanoseconds of the
 * session's clock): a title and at most `rows` lines of at most `width` cells.
 */
export function drawWaiting(snapshot: Snapshot | null, nowNs: number, width: number, rows: number): Part[][] {
  const lines = [[part('SUSPENDED', 'bold')]];
  if (snapshot === null) return lines;
  const { suspended, requests } = snapshot;
  const held = new Set(suspended.map(({ request }) => request));
  const others = requests.filter(({ request }) => !held.has(request));
  // The lists of a snapshot are cut, its counts are not.
  const total = snapshot.suspendedCount + Math.max(others.length, snapshot.requestCount - snapshot.suspendedCount);
  const room = total > rows ? rows - 1 : rows;
  const shown = [
    ...suspended.map((one) => suspendedRow(one, nowNs)),
    ...others.map((one) => waitingRow(one, nowNs)),
  ].slice(0, room);
  const fields = waitingFields(shown);
  const widths = fitFields(fields, width);
  for (const row of shown) lines.push(tableRow(fields, widths, waitingCells(row)));
  const rest = total - shown.length;
  if (rest > 0) lines.push([part(`and ${rest} more`, 'quiet')]);
  if (total === 0) lines.push([part('none', 'quiet')]);
  return lines;
}

function suspendedRow(one: SuspendedRequest, nowNs: number): WaitingRow {
  const request = shortRequest(one.operation, one.offset, one.bytes);
  return {
    tag: one.tag,
    who: requestName(one.operation, one.request),
    request,
    reason: one.client === undefined ? one.event : `${one.event}, ${one.client}`,
    age: ageText(nowNs - one.sinceNs),
    isHeld: true,
  };
}

/** What waits for something else than a breakpoint: no tag, and in the place of the event what it waits for. */
function waitingRow(one: RequestInFlight, nowNs: number): WaitingRow {
  const request = shortRequest(one.operation, one.offset, one.bytes);
  const reason = `\u2190 ${one.waitsFor}`;
  return {
    tag: '\u00b7',
    who: requestName(one.operation, one.request),
    request,
    reason,
    age: ageText(nowNs - one.sinceNs),
    isHeld: false,
  };
}

function waitingCells({ tag, who, request, reason, age, isHeld }: WaitingRow): Part[][] {
  const style: Style = isHeld ? 'plain' : 'quiet';
  return [
    [part(tag, isHeld ? 'yellow' : 'quiet')],
    [part(who, 'cyan')],
    [part(request, style)],
    [part(reason, style)],
    [part(age, isHeld ? 'bold' : 'quiet')],
  ];
}

function shortRequest(operation: string, offset: number | null, bytes: number | null): string {
  return requestText(operation.replace(/^aio_/, ''), offset, bytes);
}
