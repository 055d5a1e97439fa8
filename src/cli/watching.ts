/** What lets others see a session, made for it: a recording in a file, a socket to watch it from elsewhere, the panel. */
import type { BlockError } from '../block/error.ts';
import type { BlockNode } from '../block/node.ts';
import { LivePanel } from '../live/live-panel.ts';
import { Monitor, type MonitorOptions } from '../live/monitor.ts';
import { type Picture, type RulesView, takePicture } from '../live/picture.ts';
import { Recorder } from '../live/recorder.ts';
import type { Session } from '../shell/session.ts';
import { terminalSize } from './terminal-size.ts';
import { versionText } from './usage.ts';

/** Begins to record; `command` are the words of the command line. Fails with BlockError if the file cannot be made. */
export function openRecorder(session: Session, path: string, command: readonly string[]): Recorder {
  const onError = (error: BlockError): void => session.warn(`the recording has ended: ${error.message}`);
  return new Recorder(path, { ...optionsFor(session, command), onError });
}

/** Begins to listen on a socket. Fails with BlockError if it cannot be made. */
export function openMonitor(session: Session, path: string, command: readonly string[]): Promise<Monitor> {
  return Monitor.open(path, optionsFor(session, command));
}

function optionsFor(session: Session, command: readonly string[]): MonitorOptions {
  const { loop, context } = session;
  return {
    bus: context.trace,
    nowNs: () => loop.clock.nowNs(),
    picture: () => pictureOf(session),
    program: versionText().trim(),
    command,
  };
}

/** The panel for the terminal that is standard output, not yet shown. */
export function makePanel(session: Session): LivePanel {
  const { loop, context } = session;
  return new LivePanel({
    history: context.trace.history,
    picture: () => pictureOf(session),
    nowNs: () => loop.clock.nowNs(),
    write: (text) => void process.stdout.write(text),
    size: terminalSize(),
    colour: process.env.NO_COLOR === undefined,
  });
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
