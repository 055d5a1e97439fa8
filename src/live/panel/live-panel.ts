/** The panel in a session's terminal: draws when something has changed, and shares the screen with the shell. */
import type { Key } from 'node:readline';
import { stripVTControlCharacters } from 'node:util';
import { eventFilter } from '../../block/events/event-filter.ts';
import type { EventHistory } from '../../block/events/history.ts';
import type { RequestPath } from '../../block/loop/request-path.ts';
import type { EventsLine } from '../record/schema.ts';
import { PanelFocus, type PanelWish } from './focus.ts';
import { latestEvents, LiveModel } from './model.ts';
import { FRAME_ROWS, type PanelColumn, panelRows, renderPanel, THREE_COLUMNS } from './panel.ts';
import type { Snapshot } from '../snapshot.ts';
import { Screen, type Passage, type Size } from './screen.ts';
import type { Paint } from '../../util/style.ts';
import { textWidth } from '../../util/text-width.ts';

/** The content of the panel, and its place. */
export interface LivePanelOptions {
  readonly history: EventHistory;
  /** The current snapshot; asked for once a drawing. */
  readonly snapshot: () => Snapshot;
  /** Now, in the clock of the snapshot's times. */
  readonly nowNs: () => number;
  /** Writes to the terminal, at once and past everything that would call `passage`. */
  readonly write: (text: string) => void;
  readonly size: Size;
  /** Styles of the terminal. */
  readonly paint: Paint;
  /** The lists that are shown; default: all that there is room for. */
  readonly lists?: readonly PanelColumn[];
  /** The locale is not UTF-8: marks and lines are ASCII. */
  readonly isAscii?: boolean;
  /** The path of a request in flight by its number; null if it has ended. */
  readonly path?: (request: number) => RequestPath | null;
  /** There is a prompt whose keys may become the panel's: it says so. */
  readonly hasKeys?: () => boolean;
  /** Rows of its lists; default 6. */
  readonly listRows?: number;
  /**
   * Calls back once; the function returned takes that back. Default: Node's timers, which do not keep the program
   * alive.
   */
  readonly after?: (delayMs: number, callback: () => void) => () => void;
}

/** At most 30 drawings a second. */
const DRAW_MS = 34;
/** Ages tick with one decimal below ten seconds, and then by the second. */
const FAST_TICK_MS = 100;
const SLOW_TICK_MS = 1000;
const FAST_TICK_AGE_NS = 10e9;
/** Latest lines of the shell, to be shown again after a resize. */
const REMEMBERED_LINES = 400;
/** More of a text could not be seen anyway. */
const REMEMBERED_CHARS = 64 << 10;

/** The panel of one terminal, from the first drawing until it is taken away. */
export class LivePanel {
  readonly model = new LiveModel();
  readonly #options: LivePanelOptions;
  readonly #screen: Screen;
  #size: Size;
  #listRows: number | undefined;
  /** The state of its keys; null while they are the shell's. */
  #focus: PanelFocus | null = null;
  /** Takes back that the history wakes the panel; null while it is off. */
  #unfollow: (() => void) | null = null;
  #cancelTimer: (() => void) | null = null;
  /** When the timer fires, in milliseconds of `nowNs`. */
  #dueMs = 0;
  #drawnMs = Number.NEGATIVE_INFINITY;
  #tail: string[] = [''];
  #hasCleared = false;

  constructor(options: LivePanelOptions) {
    this.#options = options;
    this.#size = options.size;
    this.#listRows = options.listRows;
    this.#screen = new Screen(options.write, options.size);
  }

  /** Whether it is on; on a very small terminal it is on and not visible. */
  get isOn(): boolean {
    return this.#unfollow !== null;
  }

  /** The rows of the terminal that it takes. */
  get rows(): number {
    return this.#screen.panelRows;
  }

  /** Whether keys are the panel's. */
  get hasFocus(): boolean {
    return this.#focus !== null;
  }

  /** Takes the keys from now on, or no more. False if the panel is not there, or only as a line. */
  setFocus(isOn: boolean): boolean {
    const { columns, rows } = this.#size;
    const count = this.isOn ? panelRows(columns, rows, this.#listRows) : 0;
    this.#focus = isOn && count > 1 ? new PanelFocus(columns >= THREE_COLUMNS) : null;
    if (this.isOn) this.#draw();
    return this.#focus !== null;
  }

  /** A key while it has the focus: what it asks the shell for; null for nothing. */
  key(text: string | undefined, key: Key): PanelWish | null {
    const focus = this.#focus;
    const { snapshot } = this.model;
    if (focus === null || snapshot === null) return null;
    const rows = Math.max(1, this.rows - FRAME_ROWS);
    const wish = focus.key(text, key, snapshot, this.#events(snapshot).latest, rows);
    this.#draw();
    return wish;
  }

  /** Says a sentence on a key that could do nothing. */
  notice(text: string): void {
    if (this.#focus === null) return;
    this.#focus.notice = text;
    this.#draw();
  }

  #events(snapshot: Snapshot): EventsLine {
    const { history } = this.#options;
    const focus = this.#focus;
    if (focus === null) return latestEvents(history, snapshot);
    const isWanted = eventFilter(focus.filter, history.newestFirst());
    return latestEvents(history, snapshot, Number.POSITIVE_INFINITY, isWanted);
  }

  /** Makes room at the top and begins to follow what happens. */
  start(): void {
    if (this.isOn) return;
    this.#follow();
    this.#draw();
  }

  /** Gives the screen back to the shell. */
  stop(): void {
    this.#leave();
    this.#screen.hide();
  }

  /** Draws again soon: requests may have begun or ended, which the history does not tell. */
  changed(): void {
    if (this.isOn) this.#drawWithin(DRAW_MS);
  }

  /** How many rows the lists have from now on. */
  setListRows(rows: number): void {
    this.#listRows = rows;
    if (this.isOn) this.#draw();
  }

  /** To be put around everything that is written to the terminal and may scroll. `text` is remembered for a resize. */
  passage(text: string): Passage {
    this.remember(text);
    return this.#screen.passage();
  }

  /** Text that is on the screen without having gone through `passage`: a line that was typed. */
  remember(text: string): void {
    const lines = text.slice(-REMEMBERED_CHARS).split('\n');
    this.#tail[this.#tail.length - 1] += lines[0] ?? '';
    for (let at = 1; at < lines.length; at += 1) this.#tail.push(lines[at] ?? '');
    if (this.#tail.length > 2 * REMEMBERED_LINES) this.#tail = this.#tail.slice(-REMEMBERED_LINES);
  }

  /** The screen below the panel was cleared. */
  forgetText(): void {
    this.#tail = [''];
  }

  /** The last resize has made the screen anew: nothing is left that the shell drew. A hidden panel does not. */
  get hasCleared(): boolean {
    return this.#hasCleared;
  }

  /** The terminal has another size. Afterwards the shell draws its prompt again, if there is one. */
  resize(size: Size): void {
    this.#size = size;
    this.#hasCleared = this.isOn && this.#screen.isShown;
    if (!this.isOn) return;
    this.#screen.resize(size, this.#tailFor(size));
    this.#draw();
  }

  /** Another program has written over the screen. The shell draws its prompt again afterwards. */
  clear(): void {
    if (!this.isOn) return;
    this.#tail = [''];
    this.#screen.resize(this.#size, '');
    this.#draw();
  }

  /** Text to be written, synchronously, on any way out. The panel is off afterwards. */
  restore(): string {
    const wasOn = this.isOn;
    this.#leave();
    return wasOn ? this.#screen.restore() : '';
  }

  #follow(): void {
    this.#unfollow?.();
    this.#unfollow = this.#options.history.atNextChange(() => this.#drawWithin(DRAW_MS));
  }

  #leave(): void {
    this.#focus = null;
    this.#unfollow?.();
    this.#unfollow = null;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
  }

  /** Draws no later than this, and no sooner than `DRAW_MS` after the last time. */
  #drawWithin(delayMs: number): void {
    const nowMs = this.#nowMs();
    const dueMs = Math.max(nowMs, this.#drawnMs + delayMs);
    if (this.#cancelTimer !== null) {
      if (this.#dueMs <= dueMs) return;
      this.#cancelTimer();
    }
    this.#dueMs = dueMs;
    this.#cancelTimer = (this.#options.after ?? afterNode)(dueMs - nowMs, () => {
      this.#cancelTimer = null;
      this.#draw();
    });
  }

  #draw(): void {
    if (!this.isOn) return;
    this.#drawnMs = this.#nowMs();
    this.#follow();
    const { paint, isAscii = false, lists } = this.#options;
    const nowNs = this.#options.nowNs();
    const { columns, rows } = this.#size;
    const snapshot = this.#options.snapshot();
    this.model.take({ kind: 'snapshot', ...snapshot });
    this.#focus?.keep(snapshot);
    this.model.take(this.#events(snapshot));
    this.model.measureRate(nowNs);
    const count = panelRows(columns, rows, this.#listRows);
    if (count <= 1) this.#focus = null;
    const request = this.#focus?.request ?? null;
    const path = request === null ? null : (this.#options.path?.(request) ?? null);
    const keys = this.#options.hasKeys?.() === true ? { focus: this.#focus, path } : undefined;
    if (count === 0) this.#screen.hide();
    else this.#screen.show(renderPanel(this.model, { columns, rows: count, nowNs, paint, isAscii, lists, keys }));
    const tickMs = this.#tickMs();
    if (count > 0 && tickMs !== null) this.#drawWithin(tickMs);
  }

  /** After what time an age on the panel is another; null if there is none. */
  #tickMs(): number | null {
    const { snapshot } = this.model;
    if (snapshot === null) return null;
    const since = [...snapshot.suspended, ...snapshot.requests].map(({ sinceNs }) => sinceNs);
    // The rate falls while nothing happens.
    const rateTickMs = this.model.perSecond > 0 ? SLOW_TICK_MS : null;
    if (since.length === 0) return rateTickMs;
    const youngest = snapshot.timeNs - Math.max(...since);
    return youngest < FAST_TICK_AGE_NS ? FAST_TICK_MS : SLOW_TICK_MS;
  }

  #nowMs(): number {
    return this.#options.nowNs() / 1e6;
  }

  /** The latest lines that fit below the panel, the last one unfinished (the prompt comes there). */
  #tailFor({ columns, rows }: Size): string {
    let room = rows - panelRows(columns, rows, this.#listRows) - 1;
    const lines: string[] = [];
    for (let at = this.#tail.length - 2; at >= 0; at -= 1) {
      const line = this.#tail[at] ?? '';
      room -= Math.max(1, Math.ceil(textWidth(stripVTControlCharacters(line)) / columns));
      if (room < 0) break;
      lines.unshift(line);
    }
    return lines.map((line) => `${line}\r\n`).join('');
  }
}

function afterNode(delayMs: number, callback: () => void): () => void {
  const timer = setTimeout(callback, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
}
