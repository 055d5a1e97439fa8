/** The prompt on a terminal: line editing, history, completion, Ctrl-C, and output that comes while a line is typed. */
import type { Key } from 'node:readline';
import type { LivePanel } from '../live/panel/live-panel.ts';
import type { Session } from '../shell/session.ts';
import { candidatesFor, inColumns } from './candidates.ts';
import { History } from './line-history.ts';
import { HistorySearch } from './history-search.ts';
import { setRawMode, stopForShell } from './host-terminal.ts';
import type { StoppableSource } from './input.ts';
import { LineEditor } from './line-editor.ts';
import { leavingQuestion, promptOf } from './prompt.ts';
import { type Settings, withoutAlias } from './user-settings.ts';
import type { Stdio } from './stdio.ts';
import { type LineTerminal, MovableLine, PrintedLine, type TypedLine } from './typed-line.ts';
import type { Views } from './views.ts';
import { isYes } from '../util/yes-no.ts';

/** On fewer rows nothing is paged. */
const LEAST_PAGE_ROWS = 4;
/** A terminal that does not tell its size. */
const UNKNOWN_COLUMNS = 80;
const UNKNOWN_ROWS = 24;
const CTRL_BACKSLASH = '\x1c';
const ALT_DOT = '\x1b.';

/** How the prompt looks and behaves. */
export interface TerminalOptions {
  /** The prompt; null for one that tells the state and how many requests are suspended. */
  readonly plainPrompt: string | null;
  readonly settings: Settings | null;
  /** Long texts are shown a page at a time. */
  readonly pages: boolean;
  /** Ctrl-\ was pressed. */
  readonly quit: () => void;
}

/** The prompt as a source of command lines. */
export class Terminal implements StoppableSource {
  readonly #session: Session;
  readonly #stdio: Stdio;
  readonly #editor: LineEditor;
  readonly #history: History;
  readonly #search: HistorySearch;
  readonly #views: Views;
  readonly #options: TerminalOptions;
  /** The typed line, as it is seen. */
  readonly #shown: TypedLine;
  readonly #lineTerminal: LineTerminal;
  /** The shown line is to be brought up to date, behind the other keys that came with this one. */
  #isStale = false;
  /** Keys that came while a command ran: they are for the next prompts. */
  #keysAhead: (readonly [text: string | undefined, key: Key])[] = [];
  /** A line has been given and does not run yet: Ctrl-C takes it back. */
  #isHandedOver = false;
  #isTakenBack = false;
  /** The line that is read is a command, and not the answer to a question. */
  #takesCommands = false;
  /** The line that was given is the panel's, not one that was typed. */
  #isForPanel = false;
  /** Nothing more will be typed. */
  isEnded = false;
  #isWarned = false;
  #prompt = '';
  /** In the place of the prompt while the history is searched. */
  #searchPrompt: string | null = null;
  /** Makes the prompt anew: what it tells changes while a line is typed. */
  #makePrompt: () => string = () => '';
  /** Waits for the line that is being typed; null while a command runs. */
  #waiter: ((line: string | null) => void) | null = null;
  /** Takes the next key, in the place of the line; null if a line is typed, or nothing. */
  #keyWaiter: ((key: Key | null) => void) | null = null;

  constructor(session: Session, stdio: Stdio, views: Views, options: TerminalOptions) {
    this.#session = session;
    this.#stdio = stdio;
    this.#views = views;
    this.#options = options;
    this.#history = new History(options.settings?.historyLines);
    this.#editor = new LineEditor({
      history: this.#history.load(),
      historySize: Math.max(1, this.#history.limit),
      complete: (text) => candidatesFor(session, options.settings?.aliases ?? new Map(), text),
      list: (candidates) => this.#list(candidates),
      onLine: (line) => this.#receive(line),
      onEnd: () => this.#answer(null),
      onKey: (text, key) => this.#key(text, key),
    });
    this.#lineTerminal = lineTerminal(views);
    this.#shown = stdio.hasCursor ? new MovableLine(this.#lineTerminal) : new PrintedLine(this.#lineTerminal);
    this.#search = new HistorySearch(this.#history, (prompt, line) => {
      this.#searchPrompt = prompt;
      this.#editor.set(line);
    });
    process.stdout.on('resize', () => this.#resize());
    stdio.guard = (write, text) => this.#writeAbove(write, text);
    views.hasKeys = stdio.hasCursor;
    if (options.pages && stdio.hasCursor) stdio.page = (text) => this.#page(text);
    // Also on a sudden end, such as `abort`, the terminal is to echo again.
    process.once('exit', () => setRawMode(false));
  }

  /** The next line; null at the end of input. */
  next(): Promise<string | null> {
    this.#stdio.sync();
    // Not every change that the last line made is on the bus.
    this.#views.panel?.changed();
    return this.#nextLine();
  }

  async #nextLine(): Promise<string | null> {
    while (!this.isEnded) {
      this.#takesCommands = true;
      const typed = await this.#read(() => promptOf(this.#session, this.#stdio.paint, this.#options.plainPrompt));
      this.#takesCommands = false;
      const isForPanel = this.#isForPanel;
      this.#isForPanel = false;
      if (typed === null) {
        if (!this.isEnded && (await this.#mayLeave())) this.stop();
        continue;
      }
      if (this.#isTakenBack) continue;
      if (isForPanel) return typed;
      const line = this.#withoutAlias(typed);
      if (this.#isHistoryCommand(line)) continue;
      if (this.#leaves(line) && !(await this.#mayLeave())) continue;
      return line;
    }
    return null;
  }

  /** Called before a line is run: whether Ctrl-C was pressed since it was given. */
  takesBack(): boolean {
    const isTakenBack = this.#isTakenBack;
    this.#isHandedOver = false;
    this.#isTakenBack = false;
    return isTakenBack;
  }

  /** Gives the terminal back. */
  stop(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.#keysAhead = [];
    this.#answer(null);
    this.#editor.close();
  }

  /** Reads a line below a prompt; null for Ctrl-D and at the end. */
  #read(makePrompt: () => string): Promise<string | null> {
    this.#makePrompt = makePrompt;
    this.#prompt = makePrompt();
    this.#isHandedOver = false;
    this.#isTakenBack = false;
    if (this.isEnded) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#waiter = resolve;
      this.#draw();
      while (this.#waiter !== null) {
        const next = this.#keysAhead.shift();
        if (next === undefined) break;
        this.#edit(...next);
      }
    });
  }

  /** Shows a text page by page. A user who has typed ahead is not waited for. */
  async #page(text: string): Promise<void> {
    // First, since keys come meanwhile.
    const { showPages } = await import('./pager.ts');
    const { rows } = process.stdout;
    const stdio = this.#stdio;
    stdio.sync();
    if (this.isEnded || this.#keysAhead.length > 0 || rows < LEAST_PAGE_ROWS) {
      stdio.stdout(text);
      return;
    }
    const views = this.#views;
    await showPages(
      {
        get size() {
          return { columns: process.stdout.columns, rows: process.stdout.rows - (views.panel?.rows ?? 0) };
        },
        write: (page) => {
          stdio.stdout(page);
          stdio.sync();
        },
        readKey: (prompt) => this.#readKey(prompt),
        returnKey: (key) => {
          // Behind it came Ctrl-C, which takes back what was typed.
          if (!this.#session.wasInterrupted) this.#keysAhead.unshift([key.sequence, key]);
        },
      },
      text,
    );
  }

  /**
   * Waits for a key below a prompt, which is taken away then; null for Ctrl-C and at the end. Keys that came with the
   * one before, as those of a pasted text do, are its first ones.
   */
  #readKey(prompt: string): Promise<Key | null> {
    if (this.isEnded || this.#session.wasInterrupted) return Promise.resolve(null);
    const ahead = this.#keysAhead.shift();
    if (ahead !== undefined) return Promise.resolve(ahead[1]);
    return new Promise((resolve) => {
      const end = (key: Key | null): void => {
        this.#keyWaiter = null;
        this.#waiter = null;
        if (!this.isEnded) this.#shown.takeAway();
        resolve(key);
      };
      this.#keyWaiter = end;
      this.#waiter = () => end(null);
      this.#makePrompt = () => prompt;
      this.#prompt = prompt;
      this.#draw();
    });
  }

  #answer(line: string | null): void {
    const waiter = this.#waiter;
    if (waiter === null) return;
    this.#waiter = null;
    this.#isHandedOver = true;
    this.#shown.end();
    this.#stdio.sync();
    waiter(line);
  }

  #receive(line: string): void {
    this.#searchPrompt = null;
    this.#shown.show({ prompt: this.#prompt, line, cursor: line.length });
    this.#views.panel?.remember(`${this.#prompt}${line}\n`);
    this.#isWarned = false;
    this.#answer(line);
  }

  /** Brings the shown line up to date, if there is one. */
  #draw(): void {
    this.#isStale = false;
    if (this.#waiter === null) return;
    // Output that does not end its line stays.
    if (!this.#stdio.endsLine) {
      this.#stdio.stdout('\n');
      this.#stdio.sync();
    }
    const { line, cursor } = this.#editor;
    const prompt = this.#searchPrompt ?? this.#prompt;
    this.#shown.show(this.#keyWaiter === null ? { prompt, line, cursor } : { prompt, line: '', cursor: 0 });
  }

  /** Many keys may come at once: a line that is pasted is drawn once. */
  #drawSoon(): void {
    if (this.#isStale) return;
    this.#isStale = true;
    process.nextTick(() => {
      if (this.#isStale) this.#draw();
    });
  }

  #key(text: string | undefined, key: Key): void {
    if (this.isEnded) return;
    if (key.ctrl === true && key.name === 'c' && this.#views.panel?.hasFocus === true && this.#waiter !== null) {
      this.#views.panel.setFocus(false);
    } else if (key.ctrl === true && key.name === 'c') {
      // What was typed ahead of a command that is not wanted any more is not wanted either.
      this.#keysAhead = [];
      this.#interrupt();
    } else if (key.sequence === CTRL_BACKSLASH) {
      this.#options.quit();
    } else if (key.ctrl === true && key.name === 'z') {
      this.#stopForShell();
    } else if (this.#views.panel?.hasFocus === true) {
      this.#panelKey(this.#views.panel, text, key);
    } else if (key.name === 'f2' && this.#stdio.hasCursor) {
      void this.#focusPanel();
    } else if (this.#waiter === null) {
      this.#keysAhead.push([text, key]);
    } else {
      this.#edit(text, key);
    }
  }

  /** F2: keys are the panel's, which is shown for that. */
  async #focusPanel(): Promise<void> {
    const views = this.#views;
    if (this.#keyWaiter !== null) return;
    // Without a wait where it is there: the next key may have come with this one.
    if (views.panel === null) await views.setLive(true);
    if (views.panel?.setFocus(true) === true) return;
    this.#stdio.stderr('(the panel takes keys on a terminal of 60 columns and 15 rows or more)\n');
    this.#stdio.sync();
  }

  #panelKey(panel: LivePanel, text: string | undefined, key: Key): void {
    const wish = panel.key(text, key);
    if (wish === null) return;
    if (wish.kind === 'leave') panel.setFocus(false);
    else if (this.#takesCommands && this.#waiter !== null) this.#runForPanel(wish.line);
    else panel.notice('a command runs; Ctrl-C ends it');
  }

  /** Runs a line in the place of the one that is being typed, which comes again behind it. */
  #runForPanel(line: string): void {
    this.#isForPanel = true;
    this.#shown.show({ prompt: this.#prompt, line, cursor: line.length });
    this.#views.panel?.remember(`${this.#prompt}${line}\n`);
    this.#answer(line);
  }

  /** A key at the prompt. */
  #edit(text: string | undefined, key: Key): void {
    if (this.#keyWaiter !== null) {
      this.#keyWaiter(key);
      return;
    }
    this.#drawSoon();
    if (this.#stdio.hasCursor && this.#search.takeKey(text, key, this.#editor.line)) return;
    if (key.sequence === ALT_DOT) {
      const word = this.#search.lastWord();
      if (word !== null) this.#insertWord(word.text, word.replaces);
      return;
    }
    this.#search.forgetLastWord();
    if (key.ctrl === true && key.name === 'l') this.#clear();
    else this.#editor.edit(text, key);
  }

  #insertWord(word: string, replacedLength: number): void {
    const { line, cursor } = this.#editor;
    const before = line.slice(0, cursor - replacedLength) + word;
    this.#editor.set(before + line.slice(cursor), before.length);
  }

  /** Ctrl-L. */
  #clear(): void {
    if (!this.#stdio.hasCursor) return;
    const { panel } = this.#views;
    this.#shown.forget();
    process.stdout.write(`\x1b[${(panel?.rows ?? 0) + 1};1H\x1b[J`);
    panel?.forgetText();
  }

  /** Shows the candidates of a word below it; the line comes again below them. */
  #list(candidates: readonly string[]): void {
    this.#draw();
    this.#shown.end();
    this.#stdio.stdout(inColumns(candidates, this.#lineTerminal.size.columns));
    this.#stdio.sync();
  }

  /** Ctrl-C: ends what a command waits for, else clears the line, and on an empty line it is a way out. */
  #interrupt(): void {
    this.#keyWaiter?.(null);
    if (this.#waiter === null) {
      this.#isTakenBack = this.#isHandedOver;
      this.#session.interrupt();
      return;
    }
    const wasSearching = this.#search.cancel();
    if (this.#editor.line !== '' || wasSearching) {
      this.#searchPrompt = null;
      this.#editor.set('');
      this.#draw();
      this.#isWarned = false;
    } else if (this.#isWarned) {
      this.#answer(null);
    } else {
      this.#isWarned = true;
      this.#stdio.stdout('(Ctrl-C again, Ctrl-D or "quit" leaves)\n');
      this.#stdio.sync();
    }
  }

  /** True if no request is suspended, or the user does not mind that those are cancelled. Ctrl-D is a yes. */
  async #mayLeave(): Promise<boolean> {
    const question = leavingQuestion(this.#session);
    if (question === null || this.#options.settings?.confirms === false) return true;
    const answer = await this.#read(() => question);
    return answer === null || isYes(answer);
  }

  /** Whether a line closes the image. */
  #leaves(line: string): boolean {
    const name = this.#session.shell.commands.find(firstWord(line))?.name;
    return name === 'quit' || name === 'close';
  }

  #withoutAlias(line: string): string {
    this.#history.add(line);
    const { settings } = this.#options;
    return settings === null ? line : withoutAlias(line, settings.aliases);
  }

  /** `history [N]`: the lines that were typed, oldest first. */
  #isHistoryCommand(line: string): boolean {
    const match = /^\s*history(?:\s+(\d{1,6}))?\s*$/.exec(line);
    if (match === null) return false;
    for (const each of this.#history.newest(match[1] === undefined ? undefined : Number(match[1]))) {
      this.#stdio.stdout(`${each}\n`);
    }
    this.#stdio.sync();
    return true;
  }

  /**
   * A terminal breaks its rows anew for the new width; the panel, if it was to be seen, has made the screen anew. While
   * a command runs there is no line to be drawn.
   */
  #resize(): void {
    if (this.#views.panel?.hasCleared === true) this.#shown.forget();
    else this.#shown.reflow();
    this.#draw();
  }

  /** Ctrl-Z: the terminal is the other shell's, whole, until `fg`. */
  #stopForShell(): void {
    const { panel } = this.#views;
    panel?.stop();
    stopForShell(() => {
      if (this.isEnded) return;
      setRawMode(true);
      panel?.start();
      this.#shown.forget();
      this.#draw();
    });
  }

  /** Takes what is being typed off the screen, writes, and puts it back below, if it is asked for. */
  #writeAbove(write: () => void, text: string): void {
    // In the middle of a line of output nothing of ours is on the screen.
    if (this.#waiter !== null && this.#stdio.endsLine) this.#shown.takeAway();
    this.#views.writeBelow(write, text);
    if (this.#waiter === null || !this.#stdio.endsLine) return;
    this.#prompt = this.#makePrompt();
    this.#draw();
  }
}

/** The part of the screen for the typed line. */
function lineTerminal(views: Views): LineTerminal {
  const write = (text: string): void => void process.stdout.write(text);
  return {
    get size() {
      const { columns, rows } = process.stdout;
      return { columns: columns || UNKNOWN_COLUMNS, rows: (rows || UNKNOWN_ROWS) - (views.panel?.rows ?? 0) };
    },
    write,
    writeScrolling(text) {
      const { before, after } = views.panel?.passage('') ?? { before: '', after: '' };
      write(before + text + after);
    },
  };
}

function firstWord(line: string): string {
  return /\S+/.exec(line)?.[0] ?? '';
}
