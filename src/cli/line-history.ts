/** The command lines typed in earlier sessions, kept in the user's state folder. Failing to keep them is no error. */
import {
  appendFileSync,
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { printable } from '../util/printable.ts';

const DEFAULT_LINES = 1000;
/** The end of a longer file is read. */
const MAX_FILE_BYTES = 4 << 20;

/** The lines of earlier sessions and of this one. */
export class History {
  /** The most lines that are kept; 0 keeps none in the file. */
  readonly limit: number;
  /** Newest first, without what a terminal would act on. */
  lines: string[] = [];
  readonly #file: string | null;

  constructor(limit = DEFAULT_LINES, file: string | null = historyFile()) {
    this.limit = limit;
    this.#file = limit === 0 ? null : file;
  }

  /** Reads what was kept: newest first. */
  load(): readonly string[] {
    if (this.#file === null) return [];
    let kept: string[];
    try {
      kept = readEnd(this.#file)
        .split('\n')
        .filter((line) => line !== '');
    } catch {
      return [];
    }
    if (kept.length > 2 * this.limit) this.#replace(this.#file, kept.slice(-this.limit));
    this.lines = kept.slice(-this.limit).map(printable).toReversed();
    return this.lines;
  }

  /** Keeps a line; sessions that run at the same time keep theirs beside it. */
  add(line: string): void {
    if (line.trim() === '' || line === this.lines[0]) return;
    this.lines.unshift(line);
    if (this.#file === null) return;
    try {
      mkdirSync(path.dirname(this.#file), { recursive: true, mode: 0o700 });
      appendFileSync(this.#file, `${line}\n`, { mode: 0o600 });
    } catch {
      // A read-only home: the lines live as long as the session.
    }
  }

  /** The newest lines, all of them or `count`, oldest first. */
  newest(count = this.lines.length): string[] {
    return this.lines.slice(0, count).toReversed();
  }

  #replace(file: string, lines: readonly string[]): void {
    const fresh = `${file}.${process.pid}`;
    try {
      writeFileSync(fresh, `${lines.join('\n')}\n`, { mode: 0o600 });
      renameSync(fresh, file);
    } catch {
      // It stays long.
    }
  }
}

/** The last bytes of a regular file as text. Opening another kind of file does not wait. */
function readEnd(file: string): string {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) return '';
    const bytes = Buffer.alloc(Math.min(stats.size, MAX_FILE_BYTES));
    return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, stats.size - bytes.length));
  } finally {
    closeSync(fd);
  }
}

/** `$XDG_STATE_HOME/blkscope/history`, by default below ~/.local/state; null if the user has no home. */
function historyFile(): string | null {
  const stateHome = process.env.XDG_STATE_HOME;
  if (stateHome !== undefined && path.isAbsolute(stateHome)) return path.join(stateHome, 'blkscope', 'history');
  try {
    return path.join(homedir(), '.local', 'state', 'blkscope', 'history');
  } catch {
    return null;
  }
}
