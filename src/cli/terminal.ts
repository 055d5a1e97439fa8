/** The prompt on a terminal: line editing, history, completion, Ctrl-C, and output that comes while a line is typed. */
import { createInterface, type Interface, type Key } from 'node:readline';
import { complete } from '../shell/words/completion.ts';
import type { Session } from '../shell/session.ts';
import { printable, textWidth } from '../util/text-width.ts';
import { History } from './history.ts';
import { HistorySearch } from './history-search.ts';
import { EchoedOutput, setRawMode, stopForShell } from './host-terminal.ts';
import type { StoppableSource } from './input.ts';
import { leavingQuestion, promptOf } from './prompt.ts';
import type { Settings } from './user-settings.ts';
import type { Stdio } from './stdio.ts';
import type { Views } from './views.ts';

/** On fewer rows nothing is paged. */
const LEAST_PAGE_ROWS = 4;
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

/** Undocumented members of Node's line editor: the handling of one key, and the row of the cursor. */
interface LineEditor extends Interface {
  _ttyWrite: (text: string | undefined, key: Key) => void;
  prevRows: number;
  isCompletionEnabled: boolean;
  line: string;
  cursor: number;
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
  /** Node's handling of a key, and of the end of the input. */
  readonly #editKey: LineEditor['_ttyWrite'];
  readonly #closeEditor: () => void;
  /** Keys that came while a command ran: they are for the next prompts. */
  #keysAhead: (readonly [text: string | undefined, key: Key])[] = [];
  /** A line has been given and does not run yet: Ctrl-C takes it back. */
  #isHandedOver = false;
  #isTakenBack = false;
  /** Nothing more will be typed. */
  isEnded = false;
  #isWarned = false;
  #prompt = '';
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
    this.#editor = createInterface({
      input: process.stdin,
      output: new EchoedOutput(
        (text) => this.#echo(text),
        () => this.#beforeResize(),
      ),
      terminal: true,
      history: [...this.#history.load()],
      historySize: Math.max(1, this.#history.limit),
      removeHistoryDuplicates: true,
      completer: (line: string) => this.#candidates(line),
    }) as LineEditor;
    this.#search = new HistorySearch(this.#history, (prompt, line) => this.#showLine(prompt ?? this.#prompt, line));
    this.#editKey = this.#editor._ttyWrite.bind(this.#editor);
    this.#editor._ttyWrite = (text, key) => this.#key(text, key);
    this.#closeEditor = this.#editor.close.bind(this.#editor);
    // Ctrl-D, which may have to be confirmed.
    this.#editor.close = () => this.#answer(null);
    this.#editor.on('line', (line) => this.#receive(line));
    // It repeats those of standard input, which `onHangUp` takes.
    this.#editor.on('error', () => {});
    // Node leaves it paused after Ctrl-Z and `fg`.
    this.#editor.on('SIGCONT', () => this.#editor.resume());
    stdio.guard = (write, text) => this.#writeAbove(write, text);
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
      const typed = await this.#read(() => promptOf(this.#session, this.#stdio.paint, this.#options.plainPrompt));
      if (typed === null) {
        if (!this.isEnded && (await this.#mayLeave())) this.stop();
        continue;
      }
      if (this.#isTakenBack) continue;
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
    this.#closeEditor();
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
      this.#showPrompt();
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
        if (!this.isEnded) this.#takeAwayLine();
        this.#editor.prevRows = 0;
        resolve(key);
      };
      this.#keyWaiter = end;
      this.#waiter = () => end(null);
      this.#makePrompt = () => prompt;
      this.#prompt = prompt;
      this.#showPrompt();
    });
  }

  #answer(line: string | null): void {
    const waiter = this.#waiter;
    if (waiter === null) return;
    this.#waiter = null;
    this.#isHandedOver = true;
    // Return was not pressed.
    if (line === null) this.#stdio.stdout('\n');
    this.#stdio.sync();
    waiter(line);
  }

  #receive(line: string): void {
    this.#views.panel?.remember(`${this.#prompt}${line}\n`);
    this.#isWarned = false;
    this.#answer(line);
  }

  #showPrompt(): void {
    this.#editor.setPrompt(this.#prompt);
    this.#editor.prompt(true);
  }

  /** Only in the place of the old one: a search has its own. */
  #renewPrompt(): void {
    const isShown = this.#editor.getPrompt() === this.#prompt;
    this.#prompt = this.#makePrompt();
    if (isShown) this.#editor.setPrompt(this.#prompt);
  }

  #showLine(prompt: string, line: string): void {
    this.#editor.setPrompt(prompt);
    this.#editor.line = line;
    this.#editor.cursor = line.length;
    this.#editor.prompt(true);
  }

  #key(text: string | undefined, key: Key): void {
    if (this.isEnded) return;
    if (key.ctrl === true && key.name === 'c') {
      // What was typed ahead of a command that is not wanted any more is not wanted either.
      this.#keysAhead = [];
      this.#interrupt();
    } else if (key.sequence === CTRL_BACKSLASH) {
      this.#options.quit();
    } else if (key.ctrl === true && key.name === 'z') {
      this.#stopForShell();
    } else if (this.#waiter === null) {
      this.#keysAhead.push([text, key]);
    } else {
      this.#edit(text, key);
    }
  }

  /** A key at the prompt. */
  #edit(text: string | undefined, key: Key): void {
    if (this.#keyWaiter !== null) {
      this.#keyWaiter(key);
      return;
    }
    if (this.#stdio.hasCursor && this.#search.takeKey(text, key, this.#editor.line)) return;
    if (key.sequence === ALT_DOT) {
      const word = this.#search.lastWord();
      if (word !== null) this.#insertWord(word.text, word.replaces);
      return;
    }
    this.#search.forgetLastWord();
    // Node takes a Tab for a pasted one, unless it came last.
    if (key.name === 'tab') this.#editor.isCompletionEnabled = true;
    this.#editKey(text, key);
  }

  #insertWord(word: string, replacedLength: number): void {
    const { line, cursor } = this.#editor;
    const before = line.slice(0, cursor - replacedLength) + word;
    this.#showLine(this.#prompt, before + line.slice(cursor));
    this.#editor.cursor = before.length;
    this.#editor.prompt(true);
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
      this.#showLine(this.#prompt, '');
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
    return answer === null || /^\s*y/i.test(answer);
  }

  /** Whether a line closes the image. */
  #leaves(line: string): boolean {
    const name = this.#session.shell.commands.find(firstWord(line))?.name;
    return name === 'quit' || name === 'close';
  }

  #withoutAlias(line: string): string {
    this.#history.add(line);
    const word = firstWord(line);
    const meaning = this.#options.settings?.aliases.get(word);
    return meaning === undefined ? line : meaning + line.slice(line.indexOf(word) + word.length);
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

  /** The answer for the editor: the candidates, and the text that they replace. A lone candidate is a whole word. */
  #candidates(line: string): [string[], string] {
    const aliases = this.#options.settings?.aliases ?? new Map<string, string>();
    const word = firstWord(line);
    const meaning = line.trimStart() === word ? undefined : aliases.get(word);
    const { candidates, word: last } = complete(
      this.#session.shell,
      meaning === undefined ? line : meaning + line.slice(line.indexOf(word) + word.length),
    );
    const names = candidates.map(printable);
    if (line.trimStart() === word) names.push(...[...aliases.keys()].filter((name) => name.startsWith(word)));
    const [first = ''] = names;
    const isWhole = names.length === 1 && !first.startsWith('-') && !/[/=]$/.test(first);
    return [isWhole ? [`${first} `] : names.toSorted(), last];
  }

  #lastEchoed = '';

  /** The text in the place of the editor's own. */
  #echo(text: string): string {
    // Behind an empty line the cursor is where it belongs: programs wait for the prompt as the last thing on the line.
    const isRedundant = this.#lastEchoed === this.#prompt && /^\[\d+G$/.test(text.replace('\x1b', ''));
    this.#lastEchoed = text;
    if (isRedundant) return '';
    return this.#views.panel?.echo(text, this.#startsRow(text)) ?? text;
  }

  /**
   * A terminal breaks its rows anew for the new width; the editor goes up by the rows that it counted for the old one.
   * The panel, if there is one, has made the screen anew. While a command runs there is no line to be drawn.
   */
  #beforeResize(): boolean {
    if (this.#waiter === null) return false;
    this.#editor.prevRows = this.#views.panel === null ? this.#editor.getCursorPos().rows : 0;
    return true;
  }

  /** Ctrl-Z: the terminal is the other shell's, whole, until `fg`. */
  #stopForShell(): void {
    const { panel } = this.#views;
    panel?.stop();
    stopForShell(() => {
      if (this.isEnded) return;
      setRawMode(true);
      panel?.start();
      if (this.#waiter === null) return;
      this.#editor.prevRows = 0;
      this.#showPrompt();
    });
  }

  /** Takes what is being typed off the screen, writes, and puts it back below, if it is asked for. */
  #writeAbove(write: () => void, text: string): void {
    const isPrompting = this.#waiter !== null;
    // In the middle of a line of output nothing of ours is on the screen.
    if (isPrompting && this.#stdio.endsLine) this.#takeAwayLine();
    this.#views.writeBelow(write, text);
    if (!isPrompting || !this.#stdio.endsLine) return;
    this.#editor.prevRows = 0;
    this.#renewPrompt();
    this.#editor.prompt(true);
    if (!this.#stdio.hasCursor) process.stdout.write(this.#editor.line);
  }

  #takeAwayLine(): void {
    if (!this.#stdio.hasCursor) {
      process.stdout.write('\n');
      return;
    }
    process.stdout.moveCursor(0, -this.#editor.getCursorPos().rows);
    process.stdout.cursorTo(0);
    process.stdout.clearScreenDown();
  }

  /**
   * Whether what the editor echoes, a character of a pasted text, is the first of a row: it counts it as written
   * already.
   */
  #startsRow(text: string): boolean {
    const width = textWidth(text);
    if (this.#waiter === null || width === 0 || width >= process.stdout.columns || printable(text) !== text)
      return false;
    const { rows, cols } = this.#editor.getCursorPos();
    return rows > 0 && cols > 0 && cols <= width;
  }
}

function firstWord(line: string): string {
  return /\S+/.exec(line)?.[0] ?? '';
}
