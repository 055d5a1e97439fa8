/** Messages about requests that breakpoints suspend, and about those that a server does not answer. */
import type { SuspendedRequest } from '../../block/debug/port.ts';
import type { Coroutine } from '../../block/loop/loop.ts';
import { formatFixed } from '../../util/format.ts';

/** A line for each suspended request, longest suspended first: tag, request, event, age. */
export function suspendedLines(suspended: readonly SuspendedRequest[], nowNs: number): string[] {
  return suspended.toReversed().map((request) => {
    const age = formatFixed((nowNs - request.sinceNs) / 1e9, 1);
    const count = request.bytes === null ? '' : ` of ${request.bytes} bytes`;
    const range = request.guestOffset === null ? '' : `${count} at offset ${request.guestOffset}`;
    const client = request.client === undefined ? '' : ` of ${request.client}`;
    return `'${request.tag}': ${request.operation}${client}${range}, suspended at ${request.event} for ${age} s`;
  });
}

/** A line about a request that waits for a server, or that a rule delays: request, age. */
export function waitingLine(coroutine: Coroutine, nowNs: number): string {
  const { operation, offset, bytes, origin, waitsFor, waitsSinceNs } = coroutine;
  const range = bytes === undefined ? '' : ` of ${bytes} bytes at offset ${offset ?? 0}`;
  const client = origin === null ? '' : ` of ${origin}`;
  const reason = waitsFor?.kind === 'delay' ? `delayed by rule ${waitsFor.rule}` : 'waiting for the server';
  return `${operation}${client}${range}, ${reason} for ${formatFixed((nowNs - waitsSinceNs) / 1e9, 1)} s`;
}

/** The hint on a terminal when a command gives the prompt back before it has ended. */
export function suspendedHint(argv: readonly string[], coroutine: Coroutine | null, wasInterrupted: boolean): string {
  const name = argv[0] ?? '';
  if (wasInterrupted) return `(${name} goes on in the background)\n`;
  const reason = coroutine?.waitsFor;
  if (reason?.kind === 'breakpoint') {
    return `(${name} is suspended at ${reason.event}; "resume ${reason.tag}" lets it go on)\n`;
  }
  if (reason?.kind === 'overlap') return `(${name} waits for a suspended request that it overlaps)\n`;
  return `(${name} waits for a suspended request)\n`;
}
