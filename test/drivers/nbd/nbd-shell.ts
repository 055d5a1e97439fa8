/** A session over exports of a scripted server, with a clock that a test moves. */
import type { Clock } from '../../../src/block/loop/clock.ts';
import { Open } from '../../../src/block/flags.ts';
import type { UserObject } from '../../../src/block/user-object.ts';
import { Options, type OptionValue } from '../../../src/block/options/options.ts';
import { blkdebug } from '../../../src/drivers/blkdebug/name.ts';
import { nbd } from '../../../src/drivers/nbd/name.ts';
import { raw } from '../../../src/drivers/raw/driver.ts';
import type { Output } from '../../../src/shell/output/output.ts';
import { commandTable } from '../../../src/shell/commands/index.ts';
import { Session } from '../../../src/shell/session.ts';
import { normalise } from '../../helpers/normalise.ts';

/** Time that stands still until it is moved. */
export class ManualClock implements Clock {
  now = 1;
  #timers: { readonly at: number; readonly callback: () => void }[] = [];
  nowNs(): number {
    return this.now;
  }
  get recentNs(): number {
    return this.now;
  }
  hostNs(): number {
    return this.nowNs();
  }
  after(delayNs: number, callback: () => void): () => void {
    const timer = { at: this.now + delayNs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }
  /** How many timers run. */
  get pending(): number {
    return this.#timers.length;
  }
  advance(seconds: number): void {
    this.now += seconds * 1e9;
    const due = this.#timers.filter(({ at }) => at <= this.now).sort((a, b) => a.at - b.at);
    this.#timers = this.#timers.filter(({ at }) => at > this.now);
    for (const { callback } of due) callback();
  }
}

/** A session, its clock and what it says. */
export interface NbdShell {
  readonly session: Session;
  readonly clock: ManualClock;
  /** Opens an image with these options; whether that went well. */
  open(options: Record<string, OptionValue>, flags?: number): Promise<boolean>;
  /** Runs lines one after the other, then says what was printed, times and rates taken out. */
  run(...lines: string[]): Promise<string>;
  /** Everything printed since the last call. */
  said(): string;
}

export function nbdShell(objects = new Map<string, UserObject>()): NbdShell {
  let text = '';
  const add = (more: string): void => {
    text += more;
  };
  const output: Output = { stdout: add, stderr: add, flush: () => {}, drop: () => {}, isTerminal: false };
  const clock = new ManualClock();
  const session = new Session({ output, drivers: [raw, blkdebug, nbd], clock, objects }, commandTable);
  const said = (): string => {
    const all = normalise(text, '/nowhere');
    text = '';
    return all;
  };
  return {
    session,
    clock,
    said,
    open: (options, flags = Open.READ_WRITE | Open.UNMAP) =>
      session.open({
        filename: null,
        options: new Options(Object.entries(options)),
        flags,
        writethrough: false,
        forceShare: false,
      }),
    async run(...lines) {
      for (const line of lines) await session.execute(line);
      return said();
    },
  };
}

/** Gives sockets and timers of the host one turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Gives sockets the time to deliver, until `condition` holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}
