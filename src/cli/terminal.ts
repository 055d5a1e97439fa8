/** The prompt on a terminal: line editing, history, completion, Ctrl-C, and output that comes while a line is typed. */
import { createInterface, type Interface } from 'node:readline';
import { complete } from '../shell/completion.ts';
import type { LivePanel } from '../live/live-panel.ts';
import type { Session } from '../shell/session.ts';
import { History, HISTORY_LINES } from './history.ts';
import type { StoppableSource } from './input.ts';
import type { Stdio } from './stdio.ts';
import { terminalSize } from './terminal-size.ts';

export interface TerminalOptions {
  readonly prompt: string;
  readonly history?: History;
  /** Sits above the shell; it is running. */
  readonly panel?: LivePanel | null;
}

/** Node's own count of the rows between the prompt and the cursor, which a redraw goes up. */
interface RowCount {
  prevRows: number;
}

export class Terminal implements StoppableSource {
  readonly #session: Session;
  readonly #stdio: Stdio;
  readonly #readline: Interface & Partial<RowCount>;
  readonly #history: History;
  readonly #prompt: string;
  readonly #panel: LivePanel | null;
  /** Lines that were typed or pasted before they were asked for. */
  readonly #typedAhead: string[] = [];
  /** Nothing more will be typed. */
  isEnded = false;
  #isWarned = false;
  #waiter: ((line: string | null) => void) | null = null;

  constructor(session: Session, stdio: Stdio, { prompt, history = new History(), panel = null }: TerminalOptions) {
    this.#session = session;
    this.#stdio = stdio;
    this.#prompt = prompt;
    this.#panel = panel;
    this.#history = history;
    this.#readline = createInterface({
      input: process.stdin,
      output: process.stdout,
      prompt,
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
    this.#readline.on('close', () => this.#end());
    stdio.guard = (write, text) => this.#writeAbove(write, text);
    if (panel !== null) process.stdout.on('resize', () => this.#resize(panel));
  }

  next(): string | null | Promise<string | null> {
    this.#stdio.sync();
    const line = this.#typedAhead.shift();
    if (line !== undefined) {
      // Its echo is somewhere above; what follows belongs to it.
      this.#stdio.stdout(`${this.#prompt}${line}\n`);
      return line;
    }
    if (this.isEnded) return null;
    return new Promise((resolve) => {
      this.#waiter = resolve;
      this.#readline.prompt(true);
    });
  }

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

  #resize(panel: LivePanel): void {
    panel.resize(terminalSize());
    if (this.#waiter === null) return;
    this.#readline.prevRows = 0;
    this.#readline.prompt(true);
  }

  #receive(line: string): void {
    this.#panel?.remember(`${this.#prompt}${line}\n`);
    // What the line does to rules and image is not all on the bus.
    this.#panel?.changed();
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
    const { before, after } = this.#panel?.passage(text) ?? { before: '', after: '' };
    if (before !== '') process.stdout.write(before);
    write();
    if (after !== '') process.stdout.write(after);
    if (!isPrompting || !this.#stdio.endsLine) return;
    this.#readline.prevRows = 0;
    this.#readline.prompt(true);
  }

  /** The rows above the cursor of text that is echoed without a prompt while a command runs. */
  #rowsTypedAhead(): number {
    return Math.floor(this.#readline.cursor / Math.max(1, process.stdout.columns));
  }
}

/** What readline wants: the candidates, and the text that they replace. A lone candidate is a whole word. */
function candidatesFor(session: Session, line: string): [string[], string] {
  const { candidates, word } = complete(session, line);
  const [first = ''] = candidates;
  const isWhole = candidates.length === 1 && !first.startsWith('-') && !first.endsWith('/');
  return [isWhole ? [`${first} `] : [...candidates], word];
}

/** The prompt of a session, with a word of welcome on the demo image; `isLive` puts the panel above it. */
export async function openTerminal(
  session: Session,
  stdio: Stdio,
  { isDemo, isLive }: { isDemo: boolean; isLive: boolean },
): Promise<Terminal> {
  const { Chalk } = await import('chalk');
  const chalk = new Chalk(process.env.NO_COLOR ? { level: 0 } : {});
  if (isDemo) {
    const { demoGreeting } = await import('./demo.ts');
    stdio.stdout(chalk.dim(demoGreeting));
  }
  let panel: LivePanel | null = null;
  if (isLive) {
    const { openPanel } = await import('./watching.ts');
    panel = openPanel(session, stdio);
  }
  return new Terminal(session, stdio, { prompt: `${chalk.cyan('blkscope>')} `, panel });
}
