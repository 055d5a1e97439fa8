/** What recordings, watchers and the panel need of a session. */
import type { BlockNode } from '../block/graph/node.ts';
import type { MonitorOptions } from '../live/watch/monitor.ts';
import { type Picture, type RulesView, takePicture } from '../live/snapshot.ts';
import type { Session } from '../shell/session.ts';
import { versionText } from './usage.ts';

/** For whoever listens to the bus; `command` are the words of the command line. */
export function listenerOptions(session: Session, command: readonly string[]): MonitorOptions {
  const { loop, context } = session;
  return {
    bus: context.trace,
    nowNs: () => loop.clock.nowNs(),
    picture: () => pictureOf(session),
    program: versionText().trim(),
    command,
  };
}

/** What is open, the rules and the requests of now. */
export function pictureOf(session: Session): Picture {
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
