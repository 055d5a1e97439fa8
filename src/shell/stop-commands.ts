/** The commands that are run at each stop: those of `display`, and those of `on` for a tag. */
import { type SuspendedRequest, suspendedRequests } from '../block/debug/port.ts';
import type { Shell } from './command.ts';

/** Commands for stops. Made by the first `display` or `on`: until then a stop costs nothing. */
export class StopCommands {
  /** Run at every stop. */
  readonly displays = new Set<string>();
  /** Run at stops under a tag. */
  readonly onTag = new Map<string, readonly string[]>();
  /** The stops that were seen. */
  #seen = new Set<SuspendedRequest>();
  #isRunning = false;

  /** Nothing is to be run. */
  get isEmpty(): boolean {
    return this.displays.size === 0 && this.onTag.size === 0;
  }

  /** Those that are there now are not new. */
  look(shell: Shell): string[] {
    const { backend } = shell.session;
    const before = this.#seen;
    const fresh: string[] = [];
    this.#seen = new Set();
    if (backend === null) return fresh;
    for (const stop of suspendedRequests(backend.top).toReversed()) {
      this.#seen.add(stop);
      if (!before.has(stop)) fresh.push(stop.tag);
    }
    return fresh;
  }

  /** Runs the commands of the stops since the last look; those that they lead to are seen, and run none. */
  async run(shell: Shell): Promise<void> {
    if (this.#isRunning) return;
    const tags = this.look(shell);
    if (tags.length === 0) return;
    this.#isRunning = true;
    try {
      for (const tag of tags) {
        for (const line of this.onTag.get(tag) ?? []) {
          if (!shell.session.wasInterrupted) await shell.execute(line);
        }
      }
      for (const line of Array.from(this.displays)) if (!shell.session.wasInterrupted) await shell.execute(line);
    } finally {
      this.#isRunning = false;
      this.look(shell);
    }
  }
}
