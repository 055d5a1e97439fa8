/** The console as lines of text: the panel, a view below it, a line about the keys, and the line that is typed. */
import { asciiText } from '../../util/ascii.ts';
import { partName, requestText } from '../../util/compact.ts';
import type { Paint, Style } from '../../util/style.ts';
import { cutTo, textWidth } from '../../util/text-width.ts';
import type { LiveModel } from '../panel/model.ts';
import { listWidth } from '../panel/fit-columns.ts';
import { panelRows, renderPanel } from '../panel/panel.ts';
import type { Size } from '../panel/screen.ts';
import { type Field, part, type Part, renderParts, tableRow } from '../panel/styled-line.ts';
import type { Snapshot } from '../snapshot.ts';
import type { ShownEvent } from './event-pages.ts';
import type { OutputLog } from './output-log.ts';

/** The views that share the room below the panel. */
export type ConsoleView = 'output' | 'events' | 'suspended' | 'keys';

/** Everything that is on the screen. */
export interface ConsoleState {
  readonly model: LiveModel;
  readonly log: OutputLog;
  readonly view: ConsoleView;
  /** How many rows the view is scrolled back. */
  readonly back: number;
  /** Oldest first. */
  readonly events: readonly ShownEvent[];
  readonly filter: string;
  /** The number of the last event before the console came. */
  readonly earlier: number;
  /** The place in the list of suspended requests. */
  readonly selected: number;
  readonly prompt: string;
  readonly halves: readonly [before: string, behind: string];
  /** A remark in the place of the keys; empty for none. */
  readonly remark: string;
  readonly socket: string;
}

/** The lines, and where the cursor is, from 0. */
export interface Drawing {
  readonly lines: readonly string[];
  readonly cursor: { readonly row: number; readonly column: number };
  /** `back` as far as there is something to be scrolled to. */
  readonly back: number;
}

/** How it is drawn. */
export interface DrawingOptions {
  readonly size: Size;
  readonly nowNs: number;
  readonly paint: Paint;
  readonly isAscii: boolean;
}

/** The keys, for `?`. */
const keys: readonly (readonly [key: string, meaning: string])[] = [
  ['Return', 'runs the line; "quit" leaves the session alone'],
  ['Tab', 'completes the word'],
  ['Up Down', 'earlier lines'],
  ['PgUp PgDn', 'scroll the view below the panel'],
  ['Ctrl-O', 'the events instead of the output, and back'],
  ['/', 'filters the events: w7, #5, or a part of any column'],
  ['Ctrl-S', 'the suspended requests: Up, Down, Return resumes, c cancels'],
  ['Ctrl-C', 'ends the command that waits; clears the line; twice: leaves'],
  ['Ctrl-L', 'clears the output'],
  ['Ctrl-D', 'leaves; the session goes on'],
  ['Esc', 'back to the output'],
];

/** Rows of the panel's lists at most, and what is left to the view at least. */
const LIST_ROWS = 8;
const LARGE_LIST_ROWS = 14;
const LARGE_ROWS = 40;

/** The whole screen. */
export function drawConsole(state: ConsoleState, { size, nowNs, paint, isAscii }: DrawingOptions): Drawing {
  const { columns, rows } = size;
  const shown = (parts: readonly Part[]): string => {
    const line = renderParts(parts, columns, paint);
    return isAscii ? asciiText(line) : line;
  };
  const panelCount = panelRows(columns, rows, rows >= LARGE_ROWS ? LARGE_LIST_ROWS : LIST_ROWS);
  const lines = panelCount === 0 ? [] : renderPanel(state.model, { columns, rows: panelCount, nowNs, paint, isAscii });
  const viewRows = Math.max(0, rows - panelCount - 2);
  const { content, back } = viewOf(state, columns, viewRows, nowNs);
  const empty = viewRows - content.length;
  // The output stands above the prompt, lists below the panel.
  const isOutput = state.view === 'output';
  if (isOutput) for (let row = 0; row < empty; row += 1) lines.push(shown([]));
  lines.push(...content.map(shown));
  if (!isOutput) for (let row = 0; row < empty; row += 1) lines.push(shown([]));
  if (rows > 1) lines.push(shown(footer(state, back)));
  const typed = typedLine(state.prompt, state.halves, columns);
  lines.push(shown(typed.parts));
  return { lines, cursor: { row: lines.length - 1, column: typed.column }, back };
}

interface Content {
  readonly content: readonly Part[][];
  readonly back: number;
}

function viewOf(state: ConsoleState, columns: number, rows: number, nowNs: number): Content {
  switch (state.view) {
    case 'output': {
      const { lines, back } = state.log.rows(columns, rows, state.back);
      return { content: lines.map((line) => [part(line)]), back };
    }
    case 'events':
      return eventView(state, columns, rows);
    case 'suspended':
      return { content: suspendedView(state, rows, nowNs), back: 0 };
    case 'keys':
      return { content: keyView(rows, state.back), back: Math.max(0, Math.min(state.back, keys.length - rows)) };
  }
}

/** Number, event, request, operation, node, and what it led to, which has the rest of the line. */
const eventFields: readonly Field[] = [
  { ideal: 7, alignRight: true },
  { ideal: 22 },
  { ideal: 7 },
  { ideal: 13 },
  { ideal: 12, cutsMiddle: true },
  { ideal: 0, cutsMiddle: true },
];
/** With less room behind it there is no prompt. */
const LEAST_LINE_CELLS = 10;
/** Narrower terminals do without the operation, and without the node. */
const OPERATION_COLUMNS = 72;
const NODE_COLUMNS = 96;

function eventWidths(columns: number): number[] {
  const widths = eventFields.map(({ ideal }) => ideal);
  if (columns < OPERATION_COLUMNS) widths[3] = 0;
  if (columns < NODE_COLUMNS) widths[4] = 0;
  widths[5] = Math.max(0, columns - listWidth(widths) - 1);
  return widths;
}

function eventView({ events, filter, back, earlier }: ConsoleState, columns: number, rows: number): Content {
  const what = filter === '' ? 'EVENTS' : `EVENTS with "${filter}"`;
  const title = part(what, 'bold');
  const widths = eventWidths(columns);
  const room = Math.max(0, rows - 1);
  const possible = Math.max(0, Math.min(back, events.length - room));
  const end = events.length - possible;
  const shown = events.slice(Math.max(0, end - room), end);
  const before = (shown[0]?.number ?? Infinity) <= earlier ? `  up to #${earlier} from before this console` : '';
  const place = `${before}${possible === 0 ? '' : `  ${possible} later`}`;
  const content = shown.map(({ number, event, request, operation, parent, node, notes }) => {
    const style: Style = number <= earlier ? 'quiet' : notes.length > 0 ? 'bold' : 'plain';
    const who = request === 0 ? '' : partName(operation, request, parent);
    return tableRow(eventFields, widths, [
      [part(`#${number}`, 'quiet')],
      [part(event, style)],
      [part(who, 'cyan')],
      [part(operation)],
      [part(node, 'quiet')],
      [part(notes.join(', '), 'yellow')],
    ]);
  });
  if (content.length === 0) content.push([part('none', 'quiet')]);
  return { content: rows === 0 ? [] : [[title, part(place, 'quiet')], ...content].slice(0, rows), back: possible };
}

function suspendedView({ model, selected }: ConsoleState, rows: number, nowNs: number): Part[][] {
  const suspended = model.snapshot?.suspended ?? [];
  if (rows === 0) return [];
  const room = Math.max(1, rows - 1);
  const first = Math.max(0, Math.min(selected - Math.floor(room / 2), suspended.length - room));
  const tagWidth = Math.min(20, Math.max(3, ...suspended.map(({ tag }) => textWidth(tag))));
  const list = suspended.slice(first, first + room).map((one, at) => {
    const isSelected = first + at === selected;
    const seconds = Math.max(0, (nowNs - one.sinceNs) / 1e9);
    const what = requestText(one.operation, one.guestOffset, one.bytes);
    const who = one.client === undefined ? '' : `, ${one.client}`;
    return [
      part(isSelected ? '\u25b8 ' : '  ', 'green'),
      part(cutTo(one.tag, tagWidth).padEnd(tagWidth), isSelected ? 'bold' : 'yellow'),
      part(`  ${partName(one.operation, one.request, one.parent)}`, 'cyan'),
      part(`  ${what}  ${one.event}${who}  ${seconds.toFixed(1)}s`, isSelected ? 'bold' : 'plain'),
    ];
  });
  const none: Part[][] = list.length === 0 ? [[part('no request is suspended', 'quiet')]] : list;
  return [[part('SUSPENDED', 'bold')], ...none].slice(0, rows);
}

function keyView(rows: number, back: number): Part[][] {
  const first = Math.max(0, Math.min(back, keys.length - rows));
  return keys.slice(first, first + rows).map(([key, meaning]) => [part(key.padEnd(11), 'bold'), part(meaning)]);
}

const hints: Readonly<Record<ConsoleView, string>> = {
  output: '? keys',
  events: 'PgUp PgDn scroll \u2500 / filters \u2500 Esc back',
  suspended: 'Return resumes \u2500 c cancels \u2500 Esc back',
  keys: 'Esc back',
};

function footer({ view, remark, socket, model, filter }: ConsoleState, back: number): Part[] {
  if (remark !== '') return [part(` ${remark}`, 'yellow')];
  const parts = [part(` ${hints[view]}`, 'quiet')];
  if (view === 'output' && back > 0) parts.push(part(` \u2500\u2500 ${back} rows below`, 'yellow'));
  if (view === 'output' && filter !== '') parts.push(part(` \u2500\u2500 filter "${filter}"`, 'quiet'));
  if (model.dropped > 0) parts.push(part(` \u2500\u2500 ${model.dropped} missed`, 'yellow'));
  return [...parts, part(` \u2500\u2500 ${socket}`, 'quiet')];
}

/** "blkscope [state 2, 1 suspended]> ", as at the session's own terminal. */
export function promptText(snapshot: Snapshot | null): string {
  const state = snapshot?.state?.value ?? 1;
  const suspended = snapshot?.suspendedCount ?? 0;
  const parts: string[] = [];
  if (state !== 1) parts.push(`state ${state}`);
  if (suspended > 0) parts.push(`${suspended} suspended`);
  return parts.length === 0 ? 'blkscope> ' : `blkscope [${parts.join(', ')}]> `;
}

/** The end of a line that is too long is shown, or the part around the cursor. */
function typedLine(
  prompt: string,
  [before, behind]: readonly [string, string],
  columns: number,
): { parts: Part[]; column: number } {
  const room = Math.max(1, columns - 1);
  const head = textWidth(prompt) <= room - LEAST_LINE_CELLS ? prompt : '';
  let shown = before;
  const width = (): number => textWidth(head) + textWidth(shown);
  if (width() > room) {
    const characters = Array.from(before);
    let used = textWidth(head);
    let at = characters.length;
    while (at > 0 && used + textWidth(characters[at - 1] ?? '') <= room) {
      at -= 1;
      used += textWidth(characters[at] ?? '');
    }
    shown = characters.slice(at).join('');
  }
  return { parts: [part(head, 'cyan'), part(shown), part(behind)], column: width() };
}
