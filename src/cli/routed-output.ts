/** The output of a session that has other consoles: what a command prints goes to the console that asked for it. */
import type { EventLoop } from '../block/loop/loop.ts';
import { isConsoleName } from '../live/control/session-control.ts';
import type { OutputStream } from '../block/events/trace.ts';
import type { Output, OutputKind, OutputTap } from '../shell/output/output.ts';
import type { Background } from '../shell/requests/background.ts';
import type { Paint } from '../util/style.ts';
import type { Pending } from '../util/steps.ts';

/** Where the output of one console goes. */
export interface ConsoleSink {
  stdout(text: string): void;
  stderr(text: string): void;
  readonly isTerminal: boolean;
  /** Of its terminal; undefined if it has not said. */
  readonly columns?: number | undefined;
}

/** The parts of a session that tell which console is served. */
interface RoutedSession {
  readonly loop: EventLoop;
  readonly background: Background;
}

/** The session's own output, and those of consoles by their names. */
export class RoutedOutput implements Output {
  tap: OutputTap | null = null;
  readonly #own: Output;
  readonly #sinks = new Map<string, ConsoleSink>();
  #session: RoutedSession | null = null;
  /** Takes everything, of any origin, while `captured` runs. */
  #capture: ConsoleSink | null = null;

  constructor(own: Output) {
    this.#own = own;
  }

  /** The session that prints here; without one everything is its own output. */
  serve(session: RoutedSession): void {
    this.#session = session;
  }

  /** A console is there. */
  add(console: string, sink: ConsoleSink): void {
    this.#sinks.set(console, sink);
  }

  /** A console has left: what its requests still print goes to the one that brings them to their end, or to ours. */
  delete(console: string): void {
    this.#sinks.delete(console);
  }

  /** Runs `body`, which does not wait; what it prints goes to `sink`. */
  captured<Result>(sink: ConsoleSink, body: () => Result): Result {
    this.#capture = sink;
    try {
      return body();
    } finally {
      this.#capture = null;
    }
  }

  stdout(text: string, kind?: OutputKind): void {
    if (kind === 'prompt') {
      this.#own.stdout(text, kind);
      return;
    }
    this.#tell('stdout', text);
    (this.#sink() ?? this.#own).stdout(text);
  }

  stderr(text: string): void {
    this.#tell('stderr', text);
    (this.#sink() ?? this.#own).stderr(text);
  }

  #tell(stream: OutputStream, text: string): void {
    // What is captured is an answer to a client, and printed nowhere.
    if (this.tap === null || this.#capture !== null) return;
    const origin = this.#session === null ? null : this.#origin(this.#session);
    this.tap(stream, text, origin !== null && isConsoleName(origin) ? origin : null);
  }

  flush(): void {
    this.#own.flush();
  }

  drained(): Pending {
    return this.#own.drained?.();
  }

  drop(): void {
    this.#own.drop();
  }

  get progress(): ((line: string) => void) | undefined {
    return this.#sink() === null ? this.#own.progress : undefined;
  }

  get page(): ((text: string) => Promise<void>) | undefined {
    return this.#sink() === null ? this.#own.page : undefined;
  }

  get isTerminal(): boolean {
    return (this.#sink() ?? this.#own).isTerminal;
  }

  get columns(): number | undefined {
    return (this.#sink() ?? this.#own).columns;
  }

  get paint(): Paint | undefined {
    return this.#sink() === null ? this.#own.paint : undefined;
  }

  /** Null for the session's own output. */
  #sink(): ConsoleSink | null {
    if (this.#capture !== null) return this.#capture;
    if (this.#session === null) return null;
    const origin = this.#origin(this.#session);
    if (origin === null || !isConsoleName(origin)) return null;
    return this.#sinks.get(origin) ?? this.#sinks.get(this.#session.background.origin ?? '') ?? null;
  }

  /** A part of a request has the origin of the request that started it. Clients of exports are no consoles. */
  #origin({ loop, background }: RoutedSession): string | null {
    if (loop.current === null) return background.origin;
    for (let coroutine = loop.current; ; coroutine = coroutine.caller) {
      if (coroutine.origin !== null) return coroutine.origin;
      if (coroutine.caller === null) return null;
    }
  }
}
