/** The panel as lines of text: a pure function of what is to be shown, the size and the time. */
import { asciiText } from '../../util/ascii.ts';
import { ageText, requestName } from '../../util/compact.ts';
import type { EventRow, LiveModel } from './model.ts';
import { fitColumns, listWidth } from './fit-columns.ts';
import { drawList, eventList, noteParts, type PanelList, ruleList, waitingList } from './lists.ts';
import type { RequestPath } from '../../block/loop/request-path.ts';
import type { FocusView } from './focus.ts';
import { pathList } from './path-list.ts';
import type { Snapshot } from '../snapshot.ts';
import { textWidth } from '../../util/text-width.ts';
import type { Paint } from '../../util/style.ts';
import { fillParts, type Part, part, partsWidth, renderParts } from './styled-line.ts';

/** A list of the panel, a column of its table. */
export type PanelColumn = 'events' | 'rules' | 'suspended';

/** The path of a request is a list, too: in the place of another one. */
type PlacedName = PanelColumn | 'path';

/** Size, time and style of one drawing. */
export interface PanelView {
  /** Cells that a line takes. */
  readonly columns: number;
  /** Lines, at least 1; see `panelRows`. */
  readonly rows: number;
  /** Now, in the clock of the model's times. */
  readonly nowNs: number;
  /** Styles; without any the text says the same. */
  readonly paint: Paint;
  /** The lists that are shown; default: all that there is room for. */
  readonly lists?: readonly PanelColumn[] | undefined;
  /** With marks and lines of ASCII alone. */
  readonly isAscii?: boolean;
  /** The keys of the panel are there for the asking: its lower edge says which. */
  readonly keys?: PanelKeys | undefined;
}

/** The keys: those that the panel takes now, or the one with which they become the panel's. */
export interface PanelKeys {
  /** Null while keys are the shell's. */
  readonly focus: FocusView | null;
  /** Of the chosen request; null if there is none. */
  readonly path: RequestPath | null;
}

/** Lines besides those of the lists: the frame and the titles. */
export const FRAME_ROWS = 3;
const DEFAULT_LIST_ROWS = 6;
/** A smaller terminal gets one line. */
const MIN_COLUMNS = 60;
const MIN_ROWS = 15;
/** And one smaller than this nothing: the shell needs the room. */
const TINY_COLUMNS = 24;
const TINY_ROWS = 5;
/** From here on the rules have a column as well. */
export const THREE_COLUMNS = 76;

/** How many lines the panel takes on a terminal: `listRows` and the frame, but never more than half of it; 1; or 0. */
export function panelRows(columns: number, rows: number, listRows = DEFAULT_LIST_ROWS): number {
  if (columns < TINY_COLUMNS || rows < TINY_ROWS) return 0;
  if (columns < MIN_COLUMNS || rows < MIN_ROWS) return 1;
  return Math.max(FRAME_ROWS + 1, Math.min(FRAME_ROWS + listRows, Math.floor(rows / 2)));
}

/** `view.rows` lines, each exactly `view.columns` cells wide. */
export function renderPanel(model: LiveModel, view: PanelView): string[] {
  const { columns, rows, paint } = view;
  const shown = (line: string): string => (view.isAscii === true ? asciiText(line) : line);
  if (rows < FRAME_ROWS + 1) return [shown(renderParts(statusLine(model, view), columns, paint))];
  const listRows = rows - FRAME_ROWS;
  const lists = listsFor(model, view, listRows);
  const widths = widthsOf(lists, columns - 4 - 3 * (lists.length - 1));

  const bar = part('\u2502', 'quiet');
  const lines = [frameLine('\u250c', '\u2510', headLine(model.snapshot, model.stateChangedAt, columns - 4), columns)];
  const drawn = lists.map(({ list }, index) => drawList(list, widths[index]?.columns ?? [], widths[index]?.width ?? 0));
  for (let row = 0; row < rows - 2; row += 1) {
    const parts: Part[] = [];
    drawn.forEach((list, index) => {
      parts.push(bar, part(' '), ...(list[row] ?? [part(' '.repeat(widths[index]?.width ?? 0))]), part(' '));
    });
    lines.push([...parts, bar]);
  }
  // A choice of the keys goes before what is told of the run.
  const keys = keyParts(view, columns - 4);
  const told = view.keys?.focus ? [] : footParts(model, columns - 4);
  lines.push(frameLine('\u2514', '\u2518', told.length > 0 ? told : keys, columns));
  return lines.map((parts) => shown(renderParts(parts, columns, paint)));
}

/** A list, and what its columns give up when there is too little room. */
interface Placed {
  readonly name: PlacedName;
  readonly list: PanelList;
}

function listsFor(model: LiveModel, view: PanelView, rows: number): Placed[] {
  const { snapshot } = model;
  const focus = view.keys?.focus ?? null;
  const events: Placed = { name: 'events', list: eventList(model, rows, focus?.newest) };
  const rules: Placed = { name: 'rules', list: ruleList(snapshot, rows) };
  const suspended: Placed = { name: 'suspended', list: waitingList(snapshot, view.nowNs, rows, focus?.chosen) };
  // The command `rules` tells them at any time; what happens now is only here.
  const chosen = view.lists ?? ['events', 'rules', 'suspended'];
  const all: Record<PanelColumn, Placed> = { events, rules, suspended };
  const shown = chosen.filter((name) => name !== 'rules' || view.columns >= THREE_COLUMNS || chosen.length < 3);
  if (focus?.showsPath !== true) return shown.map((name) => all[name]);
  // The path takes the place of what can be had by a command: of the rules, else of the events.
  const path: Placed = { name: 'path', list: pathList(view.keys?.path ?? null, rows) };
  const replaced = shown.includes('rules') ? 'rules' : 'events';
  return shown.includes(replaced)
    ? shown.map((name) => (name === replaced ? path : all[name]))
    : [...shown.map((name) => all[name]), path];
}

const idleKeys = 'F2: keys of the panel';
const keyHints = [
  '\u2191\u2193 choose \u2500 Return path \u2500 r resume \u2500 s step \u2500 c cancel \u2500 / filter \u2500 PgUp PgDn events \u2500 Esc back',
  '\u2191\u2193 \u2500 Return path \u2500 r resume \u2500 s step \u2500 c cancel \u2500 / filter \u2500 PgUp PgDn \u2500 Esc',
  '\u2191\u2193 Return path r resume s step c cancel / filter Esc',
  'r resume s step c cancel / filter Esc',
  'r s c / Esc',
];

/** The lower edge: the keys, the filter while it is typed, or what there is to say of the last key. */
function keyParts({ keys }: PanelView, width: number): Part[] {
  if (keys === undefined) return [];
  const { focus } = keys;
  if (focus === null) return [part(idleKeys, 'quiet')];
  if (focus.isTyping)
    return [part(`filter: ${focus.filter}\u258f`, 'bold'), part(' Return keeps \u2500 Esc clears', 'quiet')];
  if (focus.notice !== '') return [part(focus.notice, 'yellow')];
  const filter = focus.filter === '' ? [] : [part(`filter ${focus.filter} \u2500 `, 'yellow')];
  const hint = keyHints.find((text) => textWidth(text) + partsWidth(filter) <= width) ?? keyHints.at(-1) ?? '';
  return [...filter, part(hint, 'bold')];
}

/**
 * Which column of which list becomes narrower, in this order: what an event led to, conditions, long tags, the status;
 * and at last what names an event or a request. Columns by their place in `lists.ts`.
 */
const concessions: readonly (readonly [list: PlacedName, column: number, to: number])[] = [
  ['events', 3, 20],
  ['rules', 3, 16],
  ['rules', 1, 18],
  ['suspended', 0, 12],
  ['events', 3, 10],
  ['rules', 3, 0],
  ['rules', 1, 14],
  ['suspended', 0, 8],
  ['events', 3, 6],
  ['rules', 4, 0],
  ['suspended', 2, 0],
  ['path', 3, 30],
  ['path', 1, 0],
  ['rules', 2, 12],
  ['events', 0, 0],
  ['suspended', 0, 6],
  ['events', 1, 13],
  ['rules', 2, 0],
  ['suspended', 0, 4],
  ['rules', 1, 10],
  ['suspended', 3, 9],
  ['events', 3, 3],
  ['path', 3, 10],
];

/** The widths of each list and of its columns in `cells` cells; room that nothing can use goes to the events. */
function widthsOf(lists: readonly Placed[], cells: number): { width: number; columns: number[] }[] {
  const ideals = lists.map(({ list: { title, rest, fields, rows } }) =>
    rows.length > 0 ? fields.map(({ ideal }) => ideal) : [Math.max(partsWidth(title), partsWidth(rest))],
  );
  const given = concessions.flatMap(([name, column, to]) => {
    const list = lists.findIndex((placed) => placed.name === name);
    return list < 0 || lists[list]?.list.rows.length === 0 ? [] : [{ list, column, to }];
  });
  const fitted = fitColumns(ideals, given, cells).map((columns) => ({ width: listWidth(columns), columns }));
  const [events] = fitted;
  if (events !== undefined) events.width += cells - fitted.reduce((sum, { width }) => sum + width, 0);
  return fitted;
}

/** The line at the bottom: the latest hazard, and what the panel has missed. */
function footParts({ hazards, dropped }: LiveModel, width: number): Part[] {
  const segments: Part[][] = [];
  if (hazards !== null) {
    const more = hazards.count > 1 ? ` (${hazards.count} in all)` : '';
    segments.push([part(`hazard at #${hazards.number}${more}: ${hazards.text}`, 'red')]);
  }
  if (dropped > 0) segments.push([part(`${dropped} records missed`, 'yellow')]);
  const parts = joined(segments);
  return partsWidth(parts) > width ? fillParts(parts, width) : parts;
}

function frameLine(left: string, right: string, inner: readonly Part[], columns: number): Part[] {
  const middle = inner.length === 0 ? [] : [part(' '), ...inner, part(' ')];
  const dashes = Math.max(0, columns - 2 - partsWidth(middle));
  return [part(left, 'quiet'), ...middle, part('\u2500'.repeat(dashes) + right, 'quiet')];
}

/** The line at the top: as much of it as fits in `width`, what changes last of all left out. */
function headLine(snapshot: Snapshot | null, stateChangedAt: number, width: number): Part[] {
  const counts = countParts(snapshot);
  const name = part('blkscope', 'bold');
  const drivers = snapshot?.nodes.map(({ driver }) => driver) ?? [];
  const file = fileOf(snapshot);
  const chain = [file, ...drivers].join(' \u2500 ');
  const state = stateText(snapshot, stateChangedAt);
  const shortState = stateText(snapshot, 0);
  const forms = [
    [[name, part(`  ${chain}`, 'cyan')], state, ...counts],
    [[name, part(`  ${file}`, 'cyan')], state, ...counts],
    [[name, part(`  ${file}`, 'cyan')], shortState, ...counts],
    [[name], shortState, ...counts],
  ].map((segments) => joined(segments.filter((parts) => parts.length > 0)));
  return forms.find((form) => partsWidth(form) <= width) ?? forms.at(-1) ?? [];
}

function fileOf(snapshot: Snapshot | null): string {
  if (snapshot === null || snapshot.nodes.length === 0) return 'no image';
  return snapshot.nodes.findLast(({ file }) => file !== '')?.file ?? snapshot.nodes[0]?.driver ?? '';
}

function stateText(snapshot: Snapshot | null, changedAt: number): Part[] {
  const state = snapshot?.state ?? null;
  if (state === null) return [];
  const text = [part('state '), part(String(state.value), 'bold')];
  if (state.change === null || changedAt === 0) return text;
  return [...text, part(` (${state.change.from}\u2192${state.change.to} at #${changedAt})`, 'quiet')];
}

function countParts(snapshot: Snapshot | null): Part[][] {
  const suspended = snapshot?.suspendedCount ?? 0;
  return [
    [part('in flight '), part(String(snapshot?.requestCount ?? 0), 'bold')],
    [part('suspended '), part(String(suspended), suspended > 0 ? 'yellow' : 'bold')],
  ];
}

function joined(segments: readonly (readonly Part[])[]): Part[] {
  return segments.flatMap((parts, index) => (index === 0 ? [...parts] : [part(' \u2500\u2500 ', 'quiet'), ...parts]));
}

/** Everything in one line, the most urgent first. */
function statusLine(model: LiveModel, { columns, nowNs }: PanelView): Part[] {
  const { snapshot, hazards } = model;
  const segments: Part[][] = [[part('blkscope', 'bold')]];
  const state = stateText(snapshot, 0);
  if (state.length > 0) segments.push(state);
  if (hazards !== null) segments.push([part(`! hazard at #${hazards.number}`, 'red')]);
  const held = snapshot?.suspended[0];
  if (held !== undefined) {
    const rest = (snapshot?.suspendedCount ?? 0) - 1;
    const more = rest > 0 ? ` +${rest}` : '';
    const text = `\u25a0 ${held.tag} ${requestName(held.operation, held.request)} ${ageText(nowNs - held.sinceNs)}${more}`;
    segments.push([part(text, 'yellow')]);
  }
  segments.push([part(`in flight ${snapshot?.requestCount ?? 0}`)]);
  const [latest] = model.latest(1);
  if (latest !== undefined) segments.push(latestParts(latest));
  const line = joined(segments);
  return partsWidth(line) <= columns ? line : joined(segments.slice(1));
}

function latestParts({ number, event, who, notes }: EventRow): Part[] {
  const words = [`#${number}`, event, who].filter((word) => word !== '').join(' ');
  return notes.length === 0 ? [part(words)] : [part(`${words} `), ...noteParts(notes)];
}
