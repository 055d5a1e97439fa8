/** The command lines typed in earlier sessions, kept in the user's state folder. It may fail to be kept; nobody minds. */
import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

/** The most lines that are kept. */
export const HISTORY_LINES = 1000;

/** The lines of earlier sessions and of this one. */
export class History {
  readonly #file: string | null;
  #newest: string | undefined;

  constructor(file: string | null = historyFile()) {
    this.#file = file;
  }

  /** What was kept, newest first. */
  load(): string[] {
    if (this.#file === null) return [];
    let lines: string[];
    try {
      lines = readFileSync(this.#file, 'utf8')
        .split('\n')
        .filter((line) => line !== '');
    } catch {
      return [];
    }
    const kept = lines.slice(-HISTORY_LINES);
    if (lines.length > 2 * HISTORY_LINES) this.#replace(this.#file, kept);
    this.#newest = kept.at(-1);
    return kept.toReversed();
  }

  /** Keeps a line; sessions that run at the same time keep theirs beside it. */
  add(line: string): void {
    if (this.#file === null || line.trim() === '' || line === this.#newest) return;
    this.#newest = line;
    try {
      mkdirSync(path.dirname(this.#file), { recursive: true, mode: 0o700 });
      appendFileSync(this.#file, `${line}\n`, { mode: 0o600 });
    } catch {
      // A read-only home is no reason to bother anybody.
    }
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
