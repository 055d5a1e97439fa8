/** The events of a session that a console scrolls through: those that the session remembers and a filter lets pass. */
import { count, list, object, text } from '../record/value-checks.ts';

/** A row of the picture `events`. */
export interface ShownEvent {
  readonly number: number;
  readonly event: string;
  readonly request: number;
  readonly operation: string;
  /** The request that it is a part of; 0 for none. */
  readonly parent: number;
  readonly node: string;
  readonly notes: readonly string[];
}

const eventRows = object('the answer', {
  events: list(
    object('events', {
      number: count,
      event: text,
      request: count,
      operation: text,
      parent: count,
      node: text,
      notes: list(text),
    }),
  ),
});

/** More than a session remembers. */
const LIMIT = 1024;
const MAX_FILTER_CHARS = 200;

/** The events as they were when they were asked for last. */
export class EventPages {
  /** Oldest first. */
  rows: readonly ShownEvent[] = [];
  filter = '';
  /** The number of the last event before `begin`; 0 if there was none. */
  earlier = 0;
  readonly #ask: (params: object) => Promise<unknown>;
  readonly #changed: () => void;
  readonly #failed: (error: unknown) => void;
  #isAsking = false;
  #isStale = false;

  /** `ask` gives the picture, `changed` is called for new rows, `failed` with what `ask` or a wrong answer throws. */
  constructor(ask: (params: object) => Promise<unknown>, changed: () => void, failed: (error: unknown) => void) {
    this.#ask = ask;
    this.#changed = changed;
    this.#failed = failed;
  }

  get shown(): { events: readonly ShownEvent[]; filter: string; earlier: number } {
    return { events: this.rows, filter: this.filter, earlier: this.earlier };
  }

  /** Notes which events are from before: all that there are. */
  async begin(): Promise<void> {
    try {
      this.earlier = (await this.#latest({ limit: 1 })).at(-1)?.number ?? 0;
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Shows those with a text in them from now on, those of a request (w7), or one (#5); all with an empty filter. */
  setFilter(filter: string): void {
    this.filter = filter.trim().slice(0, MAX_FILTER_CHARS);
    this.refresh();
  }

  /** Asks for them again. One question at a time: those that come meanwhile are one more. */
  refresh(): void {
    this.#isStale = true;
    if (!this.#isAsking) void this.#askWhileStale();
  }

  async #latest(params: object): Promise<readonly ShownEvent[]> {
    const picture = await this.#ask(params);
    return (eventRows({ events: picture }) as { readonly events: readonly ShownEvent[] }).events;
  }

  async #askWhileStale(): Promise<void> {
    this.#isAsking = true;
    try {
      while (this.#isStale) {
        this.#isStale = false;
        this.rows = await this.#latest({ limit: LIMIT, filter: this.filter });
        this.#changed();
      }
    } catch (error) {
      this.#failed(error);
    }
    this.#isAsking = false;
  }
}
