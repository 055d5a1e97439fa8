/** A session in memory with a control socket, whose loop turns as that of a shell that waits for a line. */
import path from 'node:path';
import { systemClock } from '../../../src/block/loop/clock.ts';
import { Consoles } from '../../../src/cli/consoles.ts';
import { RoutedOutput } from '../../../src/cli/routed-output.ts';
import { listenerOptions } from '../../../src/cli/session-snapshot.ts';
import { Monitor } from '../../../src/live/watch/monitor.ts';
import type { LineSource } from '../../../src/shell/script.ts';
import { runLines } from '../../../src/shell/script.ts';
import type { Output } from '../../../src/shell/output/output.ts';
import { type TestShell, testShell } from '../../helpers/shell.ts';
import { RpcClient } from './rpc-client.ts';

/** The session's own input: what a test types. */
class TypedLines implements LineSource {
  readonly #lines: string[] = [];
  #waiter: ((line: string | null) => void) | null = null;
  #hasEnded = false;

  /** Null is the end. */
  type(line: string | null): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    this.#hasEnded ||= line === null;
    if (waiter !== null) waiter(line);
    else if (line !== null) this.#lines.push(line);
  }

  next(): string | null | Promise<string | null> {
    if (this.#hasEnded) return null;
    const line = this.#lines.shift();
    if (line !== undefined) return line;
    return new Promise((resolve) => {
      this.#waiter = resolve;
    });
  }
}

export class ControlRig {
  readonly shell: TestShell;
  readonly monitor: Monitor;
  readonly socketPath: string;
  readonly began: string[];
  readonly told: string[];
  readonly #input: TypedLines;
  readonly #running: Promise<number>;

  private constructor(
    shell: TestShell,
    monitor: Monitor,
    lists: { readonly began: string[]; readonly told: string[] },
  ) {
    this.shell = shell;
    this.monitor = monitor;
    this.socketPath = monitor.path;
    this.began = lists.began;
    this.told = lists.told;
    this.#input = new TypedLines();
    this.#running = runLines(shell.session.shell, this.#input, null);
  }

  static async make(folder: string, { patienceMs = 30_000, hasImage = true } = {}): Promise<ControlRig> {
    let routed: RoutedOutput | null = null;
    const wrap = (own: Output): Output => (routed = new RoutedOutput(own));
    const shell = await testShell(hasImage ? {} : null, { wrap, clock: systemClock });
    if (routed === null) throw new Error('the session has no output');
    const lists = { began: [] as string[], told: [] as string[] };
    const control = new Consoles(shell.session, routed, {
      shutdown: () => {
        shell.session.quitRequested = true;
        shell.session.interrupt();
      },
      began: (client, line) => lists.began.push(`${client}: ${line}`),
      ended: () => {},
      tell: (line) => lists.told.push(line),
    });
    const options = { ...listenerOptions(shell.session, []), control, patienceMs };
    return new ControlRig(shell, await Monitor.open(path.join(folder, 's'), options), lists);
  }

  connect(): RpcClient {
    return new RpcClient(this.socketPath);
  }

  /** Types a line at the session's own input. */
  type(line: string): void {
    this.#input.type(line);
  }

  /** Ends the session. */
  async end(): Promise<void> {
    this.#input.type(null);
    this.shell.session.quitRequested = true;
    this.shell.session.interrupt();
    this.shell.session.loop.schedule(() => {});
    await this.#running;
    await this.shell.session.close();
    await this.monitor.close();
  }
}
