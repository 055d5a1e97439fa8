/** What lets others see a session: a recording in a file, a socket to watch it from another terminal. */
import type { BlockError } from '../block/error.ts';
import type { BlockNode } from '../block/node.ts';
import { LivePanel } from '../live/live-panel.ts';
import { Monitor } from '../live/monitor.ts';
import { type Picture, type RulesView, takePicture } from '../live/picture.ts';
import { Recorder } from '../live/recorder.ts';
import type { Session } from '../shell/session.ts';
import type { Stdio } from './stdio.ts';
import { terminalSize } from './terminal-size.ts';
import { versionText } from './usage.ts';

/** Where a session is to be seen; null for nowhere. */
export interface WatchingRequest {
  readonly record: string | null;
  readonly monitor: string | null;
}

export class Watching {
  readonly #recorder: Recorder | null;
  readonly #monitor: Monitor | null;

  private constructor(recorder: Recorder | null, monitor: Monitor | null) {
    this.#recorder = recorder;
    this.#monitor = monitor;
  }

  /** Begins to record and to listen. Throws BlockError if a file or socket cannot be made. */
  static async start(session: Session, request: WatchingRequest, command: readonly string[]): Promise<Watching> {
    const { loop, context } = session;
    const options = {
      bus: context.trace,
      nowNs: () => loop.clock.nowNs(),
      picture: () => pictureOf(session),
      program: versionText().trim(),
      command,
      onError: (error: BlockError) => session.warn(`the recording has ended: ${error.message}`),
    };
    const recorder = request.record === null ? null : new Recorder(request.record, options);
    try {
      return new Watching(recorder, request.monitor === null ? null : await Monitor.open(request.monitor, options));
    } catch (error) {
      recorder?.close();
      throw error;
    }
  }

  /** Tells that something has changed of which there is no record: an image was opened. */
  pictureChanged(): void {
    this.#recorder?.pictureChanged();
    this.#monitor?.pictureChanged();
  }

  /** Ends the recording and says goodbye to those who watch. */
  async close(): Promise<void> {
    this.#recorder?.close();
    await this.#monitor?.close();
  }
}

/** The panel above the shell of a terminal, running; the terminal is given back when `stdio` ends. */
export function openPanel(session: Session, stdio: Stdio): LivePanel {
  const { loop, context } = session;
  stdio.sync();
  const panel = new LivePanel({
    bus: context.trace,
    picture: () => pictureOf(session),
    nowNs: () => loop.clock.nowNs(),
    write: (text) => void process.stdout.write(text),
    size: terminalSize(),
    colour: process.env.NO_COLOR === undefined,
  });
  stdio.farewell = () => panel.restore();
  panel.start();
  return panel;
}

function pictureOf(session: Session): Picture {
  const top = (): BlockNode | null => session.backend?.top ?? null;
  return takePicture({ loop: session.loop, top, rulesOf });
}

function rulesOf(node: BlockNode): RulesView | null {
  const book = node.driver.debugRules?.(node);
  if (book === undefined) return null;
  return {
    state: { value: book.state, change: book.stateChanges.at(-1) ?? null },
    ruleCount: book.count,
    rules: (limit) =>
      book.list(limit).map(({ number, kind, event, effect, conditions, status, hits, lastSkip }) => ({
        number,
        action: kind,
        event,
        effect,
        conditions,
        status,
        hits,
        lastSkip: lastSkip?.text ?? null,
      })),
  };
}
