/**
 * The texts of the prompt: the state of a session in short, and the question before suspended requests are cancelled.
 */
import { findDebugPort } from '../block/debug/port.ts';
import type { Session } from '../shell/session.ts';
import { type Paint, unpainted } from '../util/style.ts';

/** The prompt: `plain` if that is given, else one that tells the state of the rules and the suspended requests. */
export function promptOf(session: Session, paint: Paint = unpainted, plain: string | null = null): string {
  return plain ?? `${paint(`blkscope${statusOf(session)}>`, 'cyan')} `;
}

/** Asks whether suspended requests may be cancelled; null if none is suspended. */
export function leavingQuestion(session: Session): string | null {
  const count = suspendedCount(session);
  if (count === 0) return null;
  const what =
    count === 1
      ? '1 request is suspended; leave and cancel it?'
      : `${count} requests are suspended; leave and cancel them?`;
  return `${what} [y/N] `;
}

/** " [state 2, 1 suspended]"; empty in state 1 with nothing suspended. */
function statusOf(session: Session): string {
  const parts: string[] = [];
  const { backend } = session;
  const state = backend === null ? undefined : findDebugPort(backend.top)?.rules.state;
  if (state !== undefined && state !== 1) parts.push(`state ${state}`);
  const suspended = suspendedCount(session);
  if (suspended > 0) parts.push(`${suspended} suspended`);
  return parts.length === 0 ? '' : ` [${parts.join(', ')}]`;
}

/** How many requests are suspended. */
export function suspendedCount({ backend }: Session): number {
  return backend === null ? 0 : (findDebugPort(backend.top)?.suspended().length ?? 0);
}
