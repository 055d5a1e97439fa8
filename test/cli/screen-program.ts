/** blkscope on a pseudo-terminal whose screen a test can look at. */
import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { spawn } from '@lydell/node-pty';
import { blkscope, plainEnvironment } from '../helpers/run-program.ts';
import { VirtualTerminal } from '../live/panel/virtual-terminal.ts';
import { makeFolder } from '../helpers/sandbox.ts';

export interface ScreenSettings {
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: NodeJS.ProcessEnv;
  /** The Node that runs it; that of the tests by default. */
  readonly node?: string;
  /** The program runs below a shell that does this afterwards. */
  readonly afterwards?: string;
}

export class ScreenProgram {
  readonly terminal: VirtualTerminal;
  readonly exit: Promise<{ exitCode: number }>;
  /** Where the program runs; gone when it has ended. */
  readonly folder = makeFolder();
  readonly #pty: ReturnType<typeof spawn>;
  #isOver = false;
  #news: () => void = () => {};

  /** `imageBytes`: the size of a file named "image" in the folder; 0 for none. */
  constructor(
    args: readonly string[],
    { columns = 100, rows = 30, env = {}, node = blkscope.command, afterwards }: ScreenSettings = {},
    imageBytes = 0,
  ) {
    if (imageBytes > 0) {
      writeFileSync(path.join(this.folder, 'image'), '');
      truncateSync(path.join(this.folder, 'image'), imageBytes);
    }
    this.terminal = new VirtualTerminal(columns, rows);
    const words = [node, ...blkscope.args, ...args];
    const [command = '', ...rest] =
      afterwards === undefined ? words : ['sh', '-c', `"$@"; ${afterwards}`, 'sh', ...words];
    this.#pty = spawn(command, rest, {
      cwd: this.folder,
      cols: columns,
      rows,
      env: withoutUnset({
        ...plainEnvironment(),
        TMPDIR: this.folder,
        TERM: 'xterm',
        LC_ALL: 'C.UTF-8',
        NO_COLOR: '1',
        XDG_STATE_HOME: this.folder,
        ...env,
      }),
    });
    this.#pty.onData((data) => {
      this.terminal.write(data);
      this.#news();
    });
    this.exit = new Promise((resolve) => {
      this.#pty.onExit((end) => {
        this.#isOver = true;
        this.#news();
        rmSync(this.folder, { recursive: true, force: true });
        resolve(end);
      });
    });
  }

  type(text: string): void {
    this.#pty.write(text);
  }

  resize(columns: number, rows: number): void {
    this.terminal.resize(columns, rows);
    this.#pty.resize(columns, rows);
  }

  /** The first process that the shell of `afterwards` has started: blkscope. */
  get programId(): number {
    const { pid } = this.#pty;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0]);
  }

  /** Waits until the screen is as wanted, and gives its rows. Fails if the program ends without that. */
  async until(wanted: (screen: readonly string[]) => boolean): Promise<readonly string[]> {
    for (;;) {
      const news = new Promise<void>((resolve) => {
        this.#news = resolve;
      });
      await this.terminal.settle();
      const { screen } = this.terminal;
      if (wanted(screen)) return screen;
      if (this.#isOver) throw new Error(`the program ended; its screen:\n${screen.join('\n')}`);
      await news;
    }
  }

  /** Types a line and waits until a prompt stands below it. */
  async run(line: string): Promise<readonly string[]> {
    const before = this.terminal.written.length;
    this.type(`${line}\r`);
    return this.until((screen) => this.terminal.written.includes('\n', before) && isPrompt(lastLine(screen)));
  }

  /** Waits for the prompt. */
  prompt(): Promise<readonly string[]> {
    return this.until((screen) => isPrompt(lastLine(screen)));
  }
}

/** The terminal library would make a text of an undefined value. */
function withoutUnset(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined));
}

/** The last row with something on it. */
export function lastLine(screen: readonly string[]): string {
  return screen.findLast((row) => row !== '') ?? '';
}

function isPrompt(row: string): boolean {
  return /^blkscope(?: \[[^\]]*\])?>$/.test(row);
}
