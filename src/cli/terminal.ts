/** The prompt on a terminal: line editing, history, completion, Ctrl-C, and output that comes while a line is typed. */
import { createInterface, type Interface } from 'node:readline';
import { findDebugPort } from '../block/debug/port.ts';
import { printable, textWidth } from '../util/text-width.ts';
import { unpainted } from '../util/style.ts';
import { complete } from '../shell/words/completion.ts';
import type { Session } from '../shell/session.ts';
import { History, HISTORY_LINES } from './history.ts';
import type { StoppableSource } from './input.ts';
import type { Stdio } from './stdio.ts';
import { EchoedOutput } from './echoed-output.ts';
import type { Views } from './views.ts';

/** A signal to ourselves has had its effect by then. */
const NOT_STOPPED_MS = 50;

/** What the prompt needs from the session. */
export interface TerminalOptions {
  /** The prompt as it is to be now. */
  readonly prompt: () => string;
  readonly history?: History;
}

/** Node's own count of the rows between the prompt and the cursor, which a redraw goes up. */
interface RowCount {
  prevRows: number;
}

/** The prompt as a source of command lines. */
export class Terminal implements StoppableSource {
  readonly #session: Session;
  readonly #stdio: Stdio;
  readonly #readline: Interface & Partial<RowCount>;
  readonly #history: History;
  readonly #views: Views;
  readonly #prompt: () => string;
  /** Lines that were typed or pasted before they were asked for. */
  readonly #typedAhead: string[] = [];
  /** Nothing more will be typed. */
  isEnded = false;
  #isWarned = false;
  #waiter: ((line: string | null) => void) | null = null;

  constructor(session: Session, stdio: Stdio, views: Views, { prompt, history = new History() }: TerminalOptions) {
    this.#session = session;
    this.#stdio = stdio;
    this.#views = views;
    this.#prompt = prompt;
    this.#history = history;
    this.#readline = createInterface({
      input: process.stdin,
      output: new EchoedOutput((text) => this.#views.panel?.echo(text, this.#startsRow(text)) ?? text),
      terminal: true,
      history: history.load(),
      historySize: HISTORY_LINES,
      removeHistoryDuplicates: true,
      completer: (line: string) => candidatesFor(session, line),
    });
    this.#readline.on('line', (line) => this.#receive(line));
    this.#readline.on('SIGINT', () => this.interrupt());
    // Node leaves it paused after Ctrl-Z and `fg`.
    this.#readline.on('SIGCONT', () => this.#readline.resume());
    this.#readline.on('SIGTSTP', () => this.#stopForShell());
    this.#readline.on('close', () => this.#end());
    stdio.guard = (write, text) => this.#writeAbove(write, text);
    process.stdout.on('resize', () => this.#resize());
    // Also on a sudden end, such as `abort`, the terminal is to echo again.
    process.once('exit', () => process.stdin.setRawMode(false));
  }

  /** The next line; null at the end of input. What was typed ahead comes first. */
  next(): string | null | Promise<string | null> {
    this.#stdio.sync();
    // What the last line did to rules and image is not all on the bus.
    this.#views.panel?.changed();
    const line = this.#typedAhead.shift();
    if (line !== undefined) {
      // Its echo is somewhere above; what follows belongs to it.
      this.#stdio.stdout(`${this.#prompt()}${line}\n`);
      return line;
    }
    if (this.isEnded) return null;
    return new Promise((resolve) => {
      this.#waiter = resolve;
      this.#showPrompt();
    });
  }

  #showPrompt(): void {
    this.#readline.setPrompt(this.#prompt());
    this.#readline.prompt(true);
  }

  /** Gives the terminal back. */
  stop(): void {
    this.#readline.close();
  }

  /** What Ctrl-C does: ends what a command waits for, else clears the line, and on an empty line it is a way out. */
  interrupt(): void {
    if (this.#waiter === null) {
      this.#session.interrupt();
    } else if (this.#readline.line !== '') {
      this.#clearLine();
      this.#isWarned = false;
    } else if (this.#isWarned) {
      this.#readline.close();
    } else {
      this.#isWarned = true;
      this.#stdio.stdout('(Ctrl-C again, Ctrl-D or "quit" leaves)\n');
    }
  }

  #clearLine(): void {
    this.#readline.write(null, { ctrl: true, name: 'e' });
    this.#readline.write(null, { ctrl: true, name: 'u' });
  }

  /** The panel, if there is one, has made the screen anew. */
  #resize(): void {
    if (this.#waiter === null || this.#views.panel === null) return;
    this.#readline.prevRows = 0;
    this.#showPrompt();
  }

  /** Ctrl-Z: the terminal is the other shell's, whole, until `fg`. */
  #stopForShell(): void {
    const { panel } = this.#views;
    panel?.stop();
    let isBack = false;
    const comeBack = (): void => {
      if (isBack) return;
      isBack = true;
      process.stdin.setRawMode(true);
      panel?.start();
      if (this.#waiter === null) return;
      this.#readline.prevRows = 0;
      this.#showPrompt();
    };
    process.once('SIGCONT', comeBack);
    process.stdin.setRawMode(false);
    process.kill(process.pid, 'SIGTSTP');
    // Without a shell that could continue it, the host does not stop a program at all.
    setTimeout(comeBack, NOT_STOPPED_MS);
  }

  #receive(line: string): void {
    this.#views.panel?.remember(`${this.#readline.getPrompt()}${line}\n`);
    this.#isWarned = false;
    this.#history.add(line);
    if (this.#waiter === null) this.#typedAhead.push(line);
    else this.#answer(line);
  }

  #end(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    const wasAsked = this.#waiter !== null;
    this.#answer(null);
    // Nobody pressed return.
    if (wasAsked) this.#stdio.stdout('\n');
  }

  #answer(line: string | null): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.(line);
  }

  /** Takes what is being typed off the screen, writes, and puts it back below, if it is asked for. */
  #writeAbove(write: () => void, text: string): void {
    const isPrompting = this.#waiter !== null;
    // In the middle of a line of output nothing of ours is on the screen.
    if (this.#stdio.endsLine && (isPrompting || this.#readline.line !== '')) {
      const rows = isPrompting ? this.#readline.getCursorPos().rows : this.#rowsTypedAhead();
      process.stdout.moveCursor(0, -rows);
      process.stdout.cursorTo(0);
      process.stdout.clearScreenDown();
    }
    this.#views.writeBelow(write, text);
    if (!isPrompting || !this.#stdio.endsLine) return;
    this.#readline.prevRows = 0;
    this.#showPrompt();
  }

  /** Whether what readline echoes, a character of a pasted text, is the first of a row: it counts it as written already. */
  #startsRow(text: string): boolean {
    const width = textWidth(text);
    if (this.#waiter === null || width === 0 || width >= process.stdout.columns || printable(text) !== text)
      return false;
    const { rows, cols } = this.#readline.getCursorPos();
    return rows > 0 && cols > 0 && cols <= width;
  }

  /** The rows above the cursor of text that is echoed without a prompt while a command runs. */
  #rowsTypedAhead(): number {
    return Math.floor(this.#readline.cursor / Math.max(1, process.stdout.columns));
  }
}

/** What readline wants: the candidates, and the text that they replace. A lone candidate is a whole word. */
function candidatesFor(session: Session, line: string): [string[], string] {
  const { candidates, word } = complete(session.shell, line);
  const [first = ''] = candidates;
  const isWhole = candidates.length === 1 && !first.startsWith('-') && !/[/=]$/.test(first);
  return [isWhole ? [`${first} `] : [...candidates], word];
}

/** The prompt of a session. It tells the state, if that is not the first one, and how many requests are suspended. */
export function openTerminal(session: Session, stdio: Stdio, views: Views): Terminal {
  const { paint = unpainted } = stdio;
  return new Terminal(session, stdio, views, { prompt: () => `${paint(`blkscope${statusOf(session)}>`, 'cyan')} ` });
}

/** " [state 2, 1 suspended]"; empty if there is nothing to tell. */
function statusOf({ backend }: Session): string {
  if (backend === null) return '';
  const parts: string[] = [];
  const port = findDebugPort(backend.top);
  const state = port?.rules.state;
  if (state !== undefined && state !== 1) parts.push(`state ${state}`);
  const suspended = port?.suspended().length ?? 0;
  if (suspended > 0) parts.push(`${suspended} suspended`);
  return parts.length === 0 ? '' : ` [${parts.join(', ')}]`;
}
