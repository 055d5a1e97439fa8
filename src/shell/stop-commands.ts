/** The commands that are run at each stop: those of `display`, and those of `on` for a tag. */
import { type SuspendedRequest, suspendedRequests } from '../block/debug/port.ts';
import type { Shell } from './command.ts';

/** Commands for stops. Made by the first `display` or `on`: until then a stop costs nothing. */
export class StopCommands {
  /** Run at every stop. */
  readonly displays = new Set<string>();
  /** Run at stops under a tag. */
  readonly onTag = new Map<string, readonly string[]>();
  /** The stops that were there at the last call of `takeNew`. */
  #seen = new Set<SuspendedRequest>();
  #isRunning = false;

  /** Nothing is to be run. */
  get isEmpty(): boolean {
    return this.displays.size === 0 && this.onTag.size === 0;
  }

  /** The tags of the stops that have come since the last call, oldest first: all that are there now count as seen. */
  takeNew(shell: Shell): string[] {
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

  /** Runs the commands of the stops that have come since the last call; stops that these lead to run none. */
  async run(shell: Shell): Promise<void> {
    if (this.#isRunning) return;
    const tags = this.takeNew(shell);
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
      this.takeNew(shell);
    }
  }
}
