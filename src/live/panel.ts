/** The panel as lines of text: a pure function of what is to be shown, the size and the time. */
import { ageText, compactBytes } from '../util/compact.ts';
import type { EventRow, LiveModel, Mark } from './model.ts';
import type { Picture, RequestPicture, RulePicture, SuspendedPicture } from './picture.ts';
import {
  type Field,
  fitFields,
  type Part,
  part,
  partsWidth,
  renderParts,
  type Style,
  tableRow,
} from './styled-line.ts';
import { operationLetter, requestText } from './text.ts';

export interface PanelView {
  /** Cells that a line takes. */
  readonly columns: number;
  /** Lines, at least 1; see `panelRows`. */
  readonly rows: number;
  /** Now, in the clock of the model's times. */
  readonly nowNs: number;
  /** With escape sequences; without, the text says the same. */
  readonly colour: boolean;
}

/** Lines besides those of the lists: the frame and the titles. */
const FRAME_ROWS = 3;
const DEFAULT_LIST_ROWS = 6;
/** A smaller terminal gets one line. */
const MIN_COLUMNS = 60;
const MIN_ROWS = 15;
/** And one smaller than this nothing: the shell needs the room. */
const TINY_COLUMNS = 24;
const TINY_ROWS = 5;
/** From here on the rules have a column as well. */
const THREE_COLUMNS = 76;

/** How many lines the panel takes on a terminal: `listRows` and the frame, but never more than half of it; 1; or 0. */
export function panelRows(columns: number, rows: number, listRows = DEFAULT_LIST_ROWS): number {
  if (columns < TINY_COLUMNS || rows < TINY_ROWS) return 0;
  if (columns < MIN_COLUMNS || rows < MIN_ROWS) return 1;
  return Math.max(FRAME_ROWS + 1, Math.min(FRAME_ROWS + listRows, Math.floor(rows / 2)));
}

/** `view.rows` lines, each exactly `view.columns` cells wide. */
export function renderPanel(model: LiveModel, view: PanelView): string[] {
  const { columns, rows, colour } = view;
  if (rows < FRAME_ROWS + 1) return [renderParts(statusLine(model, view), columns, colour)];
  const lists = listsFor(model, view);
  const inner = columns - 4 - 3 * (lists.length - 1);
  const weights = lists.reduce((sum, { weight }) => sum + weight, 0);
  const widths = lists.map(({ weight }) => Math.floor((inner * weight) / weights));
  widths[widths.length - 1] = inner - widths.slice(0, -1).reduce((sum, width) => sum + width, 0);

  const bar = part('\u2502', 'quiet');
  const lines = [frameLine('\u250c', '\u2510', headLine(model.picture, model.stateChangedAt, columns - 4), columns)];
  const drawn = lists.map(({ draw }, index) => draw(widths[index] ?? 0, rows - FRAME_ROWS));
  for (let row = 0; row < rows - 2; row += 1) {
    const parts: Part[] = [];
    drawn.forEach((list, index) => {
      parts.push(bar, part(' '), ...filled(list[row] ?? [], widths[index] ?? 0), part(' '));
    });
    lines.push([...parts, bar]);
  }
  lines.push(
    frameLine(
      '\u2514',
      '\u2518',
      model.dropped > 0 ? [part(`${model.dropped} records missed`, 'yellow')] : [],
      columns,
    ),
  );
  return lines.map((parts) => renderParts(parts, columns, colour));
}

/** A list of the panel: its title and its rows in a width. */
interface List {
  /** Its share of the width. */
  readonly weight: number;
  readonly draw: (width: number, rows: number) => Part[][];
}

function listsFor(model: LiveModel, view: PanelView): List[] {
  const { picture } = model;
  const events: List = { weight: 33, draw: (width, rows) => drawEvents(model, width, rows) };
  const rules: List = { weight: 36, draw: (width, rows) => drawRules(picture, width, rows) };
  const waiting: List = { weight: 31, draw: (width, rows) => drawWaiting(picture, view.nowNs, width, rows) };
  // The command `rules` tells them at any time; what happens now is only here.
  return view.columns < THREE_COLUMNS ? [events, waiting] : [events, rules, waiting];
}

function filled(parts: readonly Part[], width: number): Part[] {
  const room = width - partsWidth(parts);
  return room > 0 ? [...parts, part(' '.repeat(room))] : [...parts];
}

function frameLine(left: string, right: string, inner: readonly Part[], columns: number): Part[] {
  const middle = inner.length === 0 ? [] : [part(' '), ...inner, part(' ')];
  const dashes = Math.max(0, columns - 2 - partsWidth(middle));
  return [part(left, 'quiet'), ...middle, part('\u2500'.repeat(dashes) + right, 'quiet')];
}

/** The line at the top: as much of it as fits in `width`, what changes last of all left out. */
function headLine(picture: Picture | null, stateChangedAt: number | null, width: number): Part[] {
  const counts = countParts(picture);
  const name = part('blkscope', 'bold');
  const drivers = picture?.nodes.map(({ driver }) => driver) ?? [];
  const file = fileOf(picture);
  const chain = [file, ...drivers].join(' \u2500 ');
  const state = stateText(picture, stateChangedAt);
  const shortState = stateText(picture, null);
  const forms = [
    [[name, part(`  ${chain}`, 'cyan')], state, ...counts],
    [[name, part(`  ${file}`, 'cyan')], state, ...counts],
    [[name, part(`  ${file}`, 'cyan')], shortState, ...counts],
    [[name], shortState, ...counts],
  ].map((segments) => joined(segments.filter((parts) => parts.length > 0)));
  return forms.find((form) => partsWidth(form) <= width) ?? forms.at(-1) ?? [];
}

function fileOf(picture: Picture | null): string {
  if (picture === null || picture.nodes.length === 0) return 'no image';
  return picture.nodes.findLast(({ file }) => file !== '')?.file ?? picture.nodes[0]?.driver ?? '';
}

function stateText(picture: Picture | null, changedAt: number | null): Part[] {
  const state = picture?.state ?? null;
  if (state === null) return [];
  const text = [part('state '), part(String(state.value), 'bold')];
  if (state.change === null || changedAt === null) return text;
  return [...text, part(` (${state.change.from}\u2192${state.change.to} at #${changedAt})`, 'quiet')];
}

function countParts(picture: Picture | null): Part[][] {
  const suspended = picture?.suspendedCount ?? 0;
  return [
    [part('in flight '), part(String(picture?.requestCount ?? 0), 'bold')],
    [part('suspended '), part(String(suspended), suspended > 0 ? 'yellow' : 'bold')],
  ];
}

function joined(segments: readonly (readonly Part[])[]): Part[] {
  return segments.flatMap((parts, index) => (index === 0 ? [...parts] : [part(' \u2500\u2500 ', 'quiet'), ...parts]));
}

/** Everything in one line, the most urgent first. */
function statusLine(model: LiveModel, { columns, nowNs }: PanelView): Part[] {
  const { picture } = model;
  const segments: Part[][] = [[part('blkscope', 'bold')]];
  const state = stateText(picture, null);
  if (state.length > 0) segments.push(state);
  const held = picture?.suspended[0];
  if (held !== undefined) {
    const rest = (picture?.suspendedCount ?? 0) - 1;
    const more = rest > 0 ? ` +${rest}` : '';
    const text = `\u25a0 ${held.tag} ${whoOf(held)} ${ageText(nowNs - held.sinceNs)}${more}`;
    segments.push([part(text, 'yellow')]);
  }
  segments.push([part(`in flight ${picture?.requestCount ?? 0}`)]);
  const [latest] = model.latest(1);
  if (latest !== undefined)
    segments.push([part(`#${latest.sequence} ${latest.event} ${latest.who}`), ...markParts(latest.marks)]);
  const line = joined(segments);
  return partsWidth(line) <= columns ? line : joined(segments.slice(1));
}

// Events

/** Numbers are shown whole or not at all. */
function eventFields(rows: readonly EventRow[]): Field[] {
  const sequenceWidth = Math.max(4, `#${rows[0]?.sequence ?? 0}`.length);
  const whoWidth = Math.max(3, ...rows.map(({ who }) => who.length));
  return [
    { min: sequenceWidth, ideal: sequenceWidth, drop: 1 },
    { min: 11, ideal: 20, grow: 1 },
    { min: whoWidth, ideal: whoWidth, drop: 2 },
    { min: 5, ideal: 30, grow: 2 },
  ];
}

function drawEvents(model: LiveModel, width: number, rows: number): Part[][] {
  const latest = model.latest(rows);
  const fields = eventFields(latest);
  const widths = fitFields(fields, width);
  const lines = [[part('EVENTS', 'bold')], ...latest.map((row) => tableRow(fields, widths, eventCells(row)))];
  if (latest.length === 0) lines.push([part('none yet', 'quiet')]);
  return lines;
}

function eventCells({ sequence, event, who, marks }: EventRow): Part[][] {
  const isMarked = marks.length > 0;
  return [
    [part(`#${sequence}`, 'quiet')],
    event === '' ? markParts(marks) : [part(event, isMarked ? 'bold' : 'plain')],
    [part(who, 'cyan')],
    event === '' ? [] : markParts(marks),
  ];
}

const markStyles: Readonly<Record<Mark['kind'], readonly [string, Style]>> = {
  suspend: ['\u25a0 ', 'yellow'],
  error: ['\u00d7 ', 'red'],
  state: ['', 'green'],
  wait: ['', 'quiet'],
  resume: ['\u25b8 ', 'green'],
};

function markParts(marks: readonly Mark[]): Part[] {
  return marks.flatMap(({ kind, text }, index) => {
    const [symbol, style] = markStyles[kind];
    return index === 0 ? [part(symbol + text, style)] : [part(' '), part(symbol + text, style)];
  });
}

// Rules

const ruleFields: readonly Field[] = [
  { min: 2, ideal: 3, alignRight: true },
  { min: 10, ideal: 15, grow: 1 },
  { min: 8, ideal: 20, drop: 3, grow: 2 },
  { min: 8, ideal: 30, drop: 1, grow: 3 },
  { min: 5, ideal: 5, drop: 2 },
  { min: 2, ideal: 5, alignRight: true, grow: 4 },
];

const actionWords: Readonly<Record<RulePicture['action'], string>> = {
  'inject-error': 'inject',
  'set-state': 'state',
  suspend: 'break',
};

function drawRules(picture: Picture | null, width: number, rows: number): Part[][] {
  const widths = fitFields(ruleFields, width);
  const title = part('RULES', 'bold');
  const hits = part('hits', 'quiet');
  const lines = [[title, part(' '.repeat(Math.max(1, width - partsWidth([title, hits])))), hits]];
  if (picture === null || picture.debugNode === null) return [...lines, [part('no blkdebug in the chain', 'quiet')]];
  if (picture.ruleCount === 0) return [...lines, [part('none', 'quiet')]];
  const room = picture.ruleCount > rows ? rows - 1 : rows;
  const shown = pickRules(picture.rules, room);
  for (const rule of shown) lines.push(tableRow(ruleFields, widths, ruleCells(rule)));
  const rest = picture.ruleCount - shown.length;
  if (rest > 0) lines.push([part(`and ${rest} more`, 'quiet')]);
  return lines;
}

/** The newest rules, in order; those that can still act before those that cannot. */
function pickRules(rules: readonly RulePicture[], room: number): RulePicture[] {
  const armed = rules.filter(({ status }) => status === 'armed').slice(-room);
  const others = rules.filter(({ status }) => status !== 'armed').slice(-Math.max(0, room - armed.length));
  const kept = room > armed.length ? [...armed, ...others] : armed;
  return kept.sort((a, b) => a.number - b.number);
}

function ruleCells({ number, action, effect, event, conditions, status, hits }: RulePicture): Part[][] {
  const style: Style = status === 'armed' ? 'plain' : 'quiet';
  return [
    [part(String(number), 'quiet')],
    [part(`${actionWords[action]} ${effect}`, status === 'armed' && action === 'inject-error' ? 'magenta' : style)],
    [part(event, style)],
    [part(conditions, 'quiet')],
    [part(status === 'disabled' ? 'off' : status, status === 'armed' ? 'green' : 'quiet')],
    [part(String(hits), hits > 0 ? 'bold' : 'quiet')],
  ];
}

// Suspended requests, and others that wait

function waitingFields(requests: readonly { readonly operation: string; readonly request: number }[]): Field[] {
  const whoWidth = Math.max(3, ...requests.map((one) => whoOf(one).length));
  return [
    { min: 2, ideal: 8, grow: 3 },
    { min: whoWidth, ideal: whoWidth },
    { min: 10, ideal: 16, drop: 2, grow: 1 },
    { min: 9, ideal: 20, drop: 1, grow: 2 },
    { min: 4, ideal: 5, alignRight: true },
  ];
}

function drawWaiting(picture: Picture | null, nowNs: number, width: number, rows: number): Part[][] {
  const lines = [[part('SUSPENDED', 'bold')]];
  if (picture === null) return lines;
  const { suspended, requests } = picture;
  const held = new Set(suspended.map(({ request }) => request));
  const others = requests.filter(({ request }) => !held.has(request));
  // The lists of a picture are cut, its counts are not.
  const total = picture.suspendedCount + Math.max(others.length, picture.requestCount - picture.suspendedCount);
  const room = total > rows ? rows - 1 : rows;
  const shownHeld = suspended.slice(0, room);
  const shownOthers = others.slice(0, room - shownHeld.length);
  const fields = waitingFields([...shownHeld, ...shownOthers]);
  const widths = fitFields(fields, width);
  for (const one of shownHeld) lines.push(tableRow(fields, widths, suspendedCells(one, nowNs)));
  for (const one of shownOthers) lines.push(tableRow(fields, widths, waitingCells(one, nowNs)));
  const rest = total - shownHeld.length - shownOthers.length;
  if (rest > 0) lines.push([part(`and ${rest} more`, 'quiet')]);
  if (total === 0) lines.push([part('none', 'quiet')]);
  return lines;
}

function whoOf({ operation, request }: { readonly operation: string; readonly request: number }): string {
  return `${operationLetter(operation)}${request}`;
}

function suspendedCells(one: SuspendedPicture, nowNs: number): Part[][] {
  return [
    [part(one.tag, 'yellow')],
    [part(whoOf(one), 'cyan')],
    [part(shortRequest(one.operation, one.offset, one.bytes))],
    [part(one.event)],
    [part(ageText(nowNs - one.sinceNs), 'bold')],
  ];
}

/** What waits for something else than a breakpoint: no tag, and in the place of the event what it waits for. */
function waitingCells(one: RequestPicture, nowNs: number): Part[][] {
  return [
    [part('\u00b7', 'quiet')],
    [part(whoOf(one), 'cyan')],
    [part(shortRequest(one.operation, one.offset, one.bytes), 'quiet')],
    [part(`\u2190 ${one.waitsFor}`, 'quiet')],
    [part(ageText(nowNs - one.sinceNs), 'quiet')],
  ];
}

function shortRequest(operation: string, offset: number | null, bytes: number | null): string {
  const name = operation.replace(/^aio_/, '');
  if (offset === null || bytes === null) return requestText(name, offset, bytes);
  return `${name} ${compactBytes(bytes)}@${compactBytes(offset)}`;
}
