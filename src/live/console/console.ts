/** The second console of a session: the panel and a view of it over the whole terminal, and a line for commands. */
import type { Key } from 'node:readline';
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import type { Paint } from '../../util/style.ts';
import { printable } from '../../util/printable.ts';
import type { ControlLink } from '../control/control-link.ts';
import { RpcError } from '../control/messages.ts';
import { LiveModel } from '../panel/model.ts';
import type { Size } from '../panel/screen.ts';
import { checkLine, type RecordingLine, SchemaError } from '../record/schema.ts';
import { CommandLines, quotedTag } from './command-lines.ts';
import { EventPages } from './event-pages.ts';
import { FullScreen } from './full-screen.ts';
import { type ConsoleState, type ConsoleView, drawConsole, promptText } from './layout.ts';
import { LineInput } from './line-input.ts';
import { OutputLog } from './output-log.ts';

/** The session, the terminal and the user of a console. */
export interface ConsoleOptions {
  readonly link: ControlLink;
  /** The name of the socket, as it is shown. */
  readonly socket: string;
  readonly write: (text: string) => void;
  readonly size: Size;
  readonly paint: Paint;
  /** The locale is not UTF-8: marks and lines are ASCII. */
  readonly isAscii?: boolean;
  /** Lines typed earlier, newest first; and keeps another one. */
  readonly history: { readonly lines: readonly string[]; add(line: string): void };
  /** Ctrl-Z: stops the program until it is continued. */
  readonly stop?: () => void;
}

/** How a console ended: the user left, or the session ended in order, or it was killed. */
export type ConsoleEnd = 'left' | 'ended' | 'killed';

const DRAW_MS = 34;
/** Ages tick. */
const TICK_MS = 100;

/** One console. */
export class SecondConsole {
  readonly #options: ConsoleOptions;
  readonly #link: ControlLink;
  readonly #model = new LiveModel();
  readonly #log = new OutputLog();
  readonly #screen: FullScreen;
  readonly #input: LineInput;
  readonly #commands: CommandLines;
  readonly #events: EventPages;
  #size: Size;
  #view: ConsoleView = 'output';
  #back = 0;
  #selected = 0;
  #remark = '';
  /** The line is an answer or a filter: its prompt, and what becomes of it. Null for a command. */
  #question: { readonly prompt: string; readonly answer: (line: string) => void } | null = null;
  #isLeaving = false;
  #isAskedTwice = false;
  #timer: NodeJS.Timeout | null = null;
  /** Time of the session when it was heard last, and time here then. */
  #remoteNs = 0;
  #heardMs = 0;
  #failure: BlockError | null = null;

  constructor(options: ConsoleOptions) {
    this.#options = options;
    this.#link = options.link;
    this.#size = options.size;
    this.#screen = new FullScreen(options.write);
    this.#input = new LineInput(options.history.lines);
    this.#commands = new CommandLines({
      link: options.link,
      log: this.#log,
      prompt: () => promptText(this.#model.snapshot),
      columns: () => this.#size.columns,
      remember: (line) => options.history.add(line),
      ask: (prompt, answer) => {
        this.#input.take();
        this.#question = { prompt, answer };
      },
      remark: (text) => {
        this.#remark = text;
      },
      leave: () => this.leave(),
      changed: () => this.#drawSoon(),
    });
    this.#events = new EventPages(
      (params) => options.link.call('events', params),
      () => this.#drawSoon(),
      (error) => this.#fail(error),
    );
    options.link.onNotification = (method, params) => this.#take(method, params);
  }

  /** Shows the session until it ends or the user leaves. The screen is restored. EPROTO for what it must not send. */
  async run(): Promise<ConsoleEnd> {
    const link = this.#link;
    this.#screen.enter();
    try {
      await link.call('subscribe', { to: ['snapshots', 'events'] });
      await this.#events.begin();
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
    }
    const failure = await link.closed;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#options.write(this.restore());
    if (this.#failure !== null || failure !== null) throw this.#failure ?? failure;
    if (this.#isLeaving) return 'left';
    return link.hasSessionEnded ? 'ended' : 'killed';
  }

  /** Leaves the session alone. */
  leave(): void {
    this.#isLeaving = true;
    this.#link.close();
  }

  /** The terminal has another size: everything is drawn anew. */
  resize(size: Size): void {
    this.#size = size;
    if (!this.#screen.isEntered) return;
    this.#screen.clear();
    this.#draw();
  }

  /** Text to be written, synchronously, on any way out; empty if that was done. */
  restore(): string {
    return this.#screen.restore();
  }

  /** The terminal is ours again. */
  comeBack(): void {
    if (this.#screen.isEntered) return;
    this.#screen.enter();
    this.#draw();
  }

  /** A key of the user, as `node:readline` tells it. */
  key(text: string | undefined, key: Key): void {
    if (!this.#screen.isEntered || this.#isLeaving) return;
    const isInterrupt = key.ctrl === true && key.name === 'c';
    if (!isInterrupt) {
      this.#isAskedTwice = false;
      this.#remark = '';
    }
    if (isInterrupt) this.#interrupt();
    else if (!this.#control(key) && !this.#viewKey(text, key)) this.#edit(text, key);
    this.#drawSoon();
  }

  // Keys

  /** Keys that mean the same everywhere. */
  #control({ ctrl = false, name }: Key): boolean {
    if (name === 'pageup' || name === 'pagedown') {
      this.#scroll(name === 'pageup' ? 1 : -1);
      return true;
    }
    if (name === 'escape') {
      this.#question = null;
      this.#show('output');
      return true;
    }
    if (!ctrl) return false;
    switch (name) {
      case 'd':
        if (this.#input.line === '') this.leave();
        return this.#input.line === '';
      case 'l':
        this.#log.clear();
        return true;
      case 'o':
        this.#show(this.#view === 'events' ? 'output' : 'events');
        return true;
      case 's':
        this.#show(this.#view === 'suspended' ? 'output' : 'suspended');
        return true;
      case 'z':
        this.#options.stop?.();
        return true;
      default:
        return false;
    }
  }

  #viewKey(text: string | undefined, key: Key): boolean {
    if (this.#question !== null || this.#input.line !== '') return false;
    if (text === '?') {
      this.#show(this.#view === 'keys' ? 'output' : 'keys');
      return true;
    }
    if (this.#view === 'suspended') return this.#selectionKey(key);
    if (text === '/') {
      this.#askForFilter();
      return true;
    }
    return false;
  }

  /** The list of suspended requests takes all keys, so that none of them begins a command by mistake. */
  #selectionKey({ name }: Key): boolean {
    const suspended = this.#model.snapshot?.suspended ?? [];
    const chosen = suspended[this.#selected];
    if (name === 'up' || name === 'k') this.#selected = Math.max(0, this.#selected - 1);
    else if (name === 'down' || name === 'j') this.#selected = Math.min(suspended.length - 1, this.#selected + 1);
    else if (name === 'q') this.#show('output');
    else if (chosen !== undefined && (name === 'return' || name === 'r'))
      this.#submit(`resume ${quotedTag(chosen.tag)}`);
    else if (chosen !== undefined && name === 'c') this.#submit(`cancel ${quotedTag(chosen.tag)}`);
    this.#selected = Math.max(0, this.#selected);
    return true;
  }

  #edit(text: string | undefined, key: Key): void {
    if (key.name === 'return' || key.name === 'enter') {
      const line = this.#input.take();
      const question = this.#question;
      this.#question = null;
      if (question === null) this.#submit(line);
      else question.answer(line);
    } else if (key.name === 'tab') {
      if (this.#question === null) void this.#commands.complete(this.#input);
    } else {
      this.#input.key(text, key);
    }
  }

  /** Ctrl-C: ends what the command waits for, else clears the line, and on an empty line it is a way out. */
  #interrupt(): void {
    if (this.#commands.interrupt()) return;
    if (this.#input.line !== '' || this.#question !== null) {
      this.#input.take();
      this.#question = null;
    } else if (this.#isAskedTwice) {
      this.leave();
    } else {
      this.#isAskedTwice = true;
      this.#remark = 'Ctrl-C again, Ctrl-D or "quit" leaves; the session goes on';
    }
  }

  #scroll(direction: 1 | -1): void {
    const page = Math.max(1, Math.floor(this.#size.rows / 2) - 2);
    // The list of the keys begins at its top, the other views end at the latest.
    this.#back = Math.max(0, this.#back + (this.#view === 'keys' ? -direction : direction) * page);
    if (this.#view === 'events' && this.#back === 0) this.#events.refresh();
  }

  #show(view: ConsoleView): void {
    this.#view = view;
    this.#back = 0;
    this.#selected = 0;
    if (view === 'events') this.#events.refresh();
  }

  #submit(line: string): void {
    if (this.#view === 'keys' || this.#view === 'events') this.#show('output');
    this.#back = 0;
    this.#commands.submit(line);
  }

  #askForFilter(): void {
    const answer = (line: string): void => {
      this.#events.setFilter(line);
      this.#show('events');
    };
    this.#question = { prompt: 'filter: ', answer };
    this.#input.set(this.#events.filter);
  }

  // The session

  #take(method: string, params: Readonly<Record<string, unknown>>): void {
    if (method === 'output') {
      this.#commands.takeOutput(params);
    } else if (method === 'snapshot' || method === 'events' || method === 'note') {
      try {
        const line = checkLine({ ...params, kind: method });
        if (line !== null) this.#takeLine(line);
      } catch (error) {
        this.#fail(error);
      }
    }
    this.#drawSoon();
  }

  #takeLine(line: RecordingLine): void {
    this.#model.take(line);
    if (line.kind === 'snapshot') {
      this.#remoteNs = line.timeNs;
      this.#heardMs = performance.now();
      this.#selected = Math.max(0, Math.min(this.#selected, line.suspended.length - 1));
    }
    // Those that come while it is scrolled back do not move it.
    if (line.kind === 'events' && this.#view === 'events' && this.#back === 0) this.#events.refresh();
  }

  /** A session that has ended says so elsewhere. */
  #fail(error: unknown): void {
    if (error instanceof RpcError) return;
    if (!(error instanceof SchemaError)) throw error;
    this.#failure = new BlockError(Errno.EPROTO, `The session sends what is no record: ${error.message}`);
    this.#link.close();
  }

  // The screen

  #drawSoon(): void {
    this.#timer ??= setTimeout(() => this.#tick(), DRAW_MS);
  }

  #tick(): void {
    this.#timer = null;
    this.#draw();
    const { snapshot } = this.#model;
    if (snapshot !== null && (snapshot.requestCount + snapshot.suspendedCount > 0 || this.#model.perSecond > 0)) {
      this.#timer = setTimeout(() => this.#tick(), TICK_MS);
    }
  }

  #state(): ConsoleState {
    const isWaiting = this.#commands.isRunning && this.#remark === '' && this.#question === null;
    return {
      model: this.#model,
      log: this.#log,
      view: this.#view,
      back: this.#back,
      ...this.#events.shown,
      selected: this.#selected,
      prompt: this.#question?.prompt ?? promptText(this.#model.snapshot),
      halves: this.#input.halves,
      remark: isWaiting ? 'a command runs; Ctrl-C ends it' : this.#remark,
      socket: printable(this.#options.socket),
    };
  }

  #draw(): void {
    if (!this.#screen.isEntered || this.#model.snapshot === null) return;
    const { paint, isAscii = false } = this.#options;
    const nowNs = this.#remoteNs + (performance.now() - this.#heardMs) * 1e6;
    this.#model.measureRate(nowNs);
    const drawing = drawConsole(this.#state(), { size: this.#size, nowNs, paint, isAscii });
    this.#back = drawing.back;
    this.#screen.show(drawing);
  }
}
