/** The panel while its keys are typed into it: which request is chosen, which events are shown, what a key asks for. */
import type { Key } from 'node:readline';
import type { FiredEvent } from '../../block/events/history.ts';
import type { SuspendedRequest } from '../../block/debug/port.ts';
import { requestName } from '../../util/compact.ts';
import type { Snapshot } from '../snapshot.ts';

/** A wish of the panel, after a key: that the shell takes the keys again, or runs a line. */
export type PanelWish = { readonly kind: 'leave' } | { readonly kind: 'run'; readonly line: string };

/** The choices of the user, as a drawing shows them. */
export interface FocusView {
  /** The chosen row of the requests, as `rowKey` names it; null if there is none. */
  readonly chosen: string | null;
  /** The path of the chosen request stands in the place of the rules, or of the events. */
  readonly showsPath: boolean;
  /** Of the newest event that is shown; null follows the latest. */
  readonly newest: number | null;
  readonly filter: string;
  /** The filter is being typed. */
  readonly isTyping: boolean;
  /** A sentence on the last key; empty if there is nothing to say. */
  readonly notice: string;
}

/** A row of the requests in flight by a text that stays the same as long as it is there. */
export function rowKey(request: number, tag: string | null): string {
  return `${request} ${tag ?? ''}`;
}

/** The rows of the requests in flight, in the order of the list: suspended ones first. */
function rowKeys({ suspended, requests }: Snapshot): string[] {
  const listed = new Set(suspended.map(({ request }) => request));
  const others = requests.filter(({ request }) => !listed.has(request));
  return [
    ...suspended.map(({ request, tag }) => rowKey(request, tag)),
    ...others.map(({ request }) => rowKey(request, null)),
  ];
}

const MAX_FILTER_CHARS = 100;

/** The state of the keys, from the one that chose the panel to the one that leaves it. */
export class PanelFocus implements FocusView {
  chosen: string | null = null;
  showsPath: boolean;
  newest: number | null = null;
  filter = '';
  isTyping = false;
  notice = '';

  constructor(showsPath: boolean) {
    this.showsPath = showsPath;
  }

  /** The request that is chosen; null if none is. */
  get request(): number | null {
    return this.chosen === null ? null : Number(this.chosen.split(' ')[0]);
  }

  /** Keeps the choice among the rows that there are: the first one where the chosen one has gone. */
  keep(snapshot: Snapshot): void {
    const rows = rowKeys(snapshot);
    if (this.chosen !== null && rows.includes(this.chosen)) return;
    // A request that goes from stop to stop stays chosen, whatever its tag is.
    const { request } = this;
    this.chosen = rows.find((row) => Number(row.split(' ')[0]) === request) ?? rows[0] ?? null;
  }

  /** Takes a key. `events` are those that pass the filter, newest first, and `rows` how many of them fit. */
  key(
    text: string | undefined,
    key: Key,
    snapshot: Snapshot,
    events: readonly FiredEvent[],
    rows: number,
  ): PanelWish | null {
    this.notice = '';
    if (this.isTyping) return this.#filterKey(text, key);
    switch (key.name) {
      case 'escape':
      case 'f2':
        return { kind: 'leave' };
      case 'up':
        this.#choose(snapshot, -1);
        return null;
      case 'down':
        this.#choose(snapshot, 1);
        return null;
      case 'return':
      case 'enter':
        this.showsPath = !this.showsPath;
        return null;
      case 'pageup':
        this.#scroll(events, rows);
        return null;
      case 'pagedown':
        this.#scroll(events, -rows);
        return null;
      case 'home':
        this.#scroll(events, events.length);
        return null;
      case 'end':
        this.newest = null;
        return null;
      default:
        return this.#letter(text, snapshot);
    }
  }

  #letter(text: string | undefined, snapshot: Snapshot): PanelWish | null {
    switch (text) {
      case 'r':
        return this.#onSuspended(snapshot, 'resume');
      case 's':
        return this.#onSuspended(snapshot, 'step');
      case 'c':
        return this.#onSuspended(snapshot, 'cancel');
      case '/':
        this.isTyping = true;
        return null;
      default:
        return null;
    }
  }

  /** A command on the chosen request, which must be suspended. */
  #onSuspended(snapshot: Snapshot, command: string): PanelWish | null {
    const row = this.chosen;
    const one = snapshot.suspended.find(({ request, tag }) => rowKey(request, tag) === row);
    if (one === undefined) {
      this.notice =
        row === null ? 'no request is in flight' : 'this request is not suspended: it waits for another one';
      return null;
    }
    return { kind: 'run', line: `${command} ${wordFor(snapshot, one)}` };
  }

  #choose(snapshot: Snapshot, step: number): void {
    const rows = rowKeys(snapshot);
    const at = this.chosen === null ? -1 : rows.indexOf(this.chosen);
    this.chosen = rows[Math.max(0, Math.min(rows.length - 1, at + step))] ?? null;
  }

  #scroll(events: readonly FiredEvent[], by: number): void {
    const { newest } = this;
    const at =
      newest === null
        ? 0
        : Math.max(
            0,
            events.findIndex(({ number }) => number <= newest),
          );
    const to = Math.max(0, Math.min(events.length - 1, at + by));
    this.newest = to === 0 ? null : (events[to]?.number ?? null);
  }

  #filterKey(text: string | undefined, { name, ctrl = false, meta = false }: Key): null {
    if (name === 'return' || name === 'enter') {
      this.isTyping = false;
    } else if (name === 'escape') {
      this.isTyping = false;
      this.filter = '';
    } else if (name === 'backspace') {
      this.filter = Array.from(this.filter).slice(0, -1).join('');
    } else if (ctrl && name === 'u') {
      this.filter = '';
    } else if (!ctrl && !meta && text !== undefined && /^[\p{L}\p{N}\p{P}\p{S} ]+$/u.test(text)) {
      this.filter = (this.filter + text).slice(0, MAX_FILTER_CHARS);
    }
    this.newest = null;
    return null;
  }
}

/** The request by its name where its tag alone would mean another one. */
function wordFor({ suspended }: Snapshot, { tag, request, operation }: SuspendedRequest): string {
  const newest = suspended.find((other) => other.tag === tag);
  return newest?.request === request && /^[^\s"'#;]+$/.test(tag) ? tag : requestName(operation, request);
}
