/** `log`: a log point: when its event fires it prints a line, and the request goes on. */
import { type DebugEvent, eventName } from '../../../block/events/events.ts';
import type { RequestLabel } from '../../../block/loop/loop.ts';
import { eventConditions } from '../rules/location.ts';
import { BaseRule } from '../rules/rule.ts';
import type { RuleSettings } from '../rules/settings.ts';

/** A rule of this action, with its conditions and counters. */
export class LogRule extends BaseRule {
  readonly kind = 'log';
  readonly checksRequests = false;
  /** The user's words; empty if there are none. */
  readonly text: string;
  /** The rule is exhausted when it has printed a line. */
  readonly once: boolean;

  constructor(settings: RuleSettings) {
    super(settings, eventConditions(settings));
    this.text = settings.text ?? '';
    this.once = settings.once ?? false;
  }

  /** The line for a request that fires an event; null outside of requests. */
  line(event: DebugEvent, request: RequestLabel | null): string {
    const parts = [`blkdebug: rule ${this.number}: ${eventName(event)}`];
    if (request !== null) {
      const { operation, offset, bytes, origin } = request;
      const range = offset === undefined ? '' : ` ${offset} ${bytes ?? 0}`;
      parts.push(` in ${operation}${range}${origin ? ` of ${origin}` : ''}`);
    }
    if (this.text !== '') parts.push(`: ${this.text}`);
    return parts.join('');
  }
}
