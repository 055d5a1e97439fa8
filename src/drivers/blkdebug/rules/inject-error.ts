/** `inject-error`: once its event has fired, requests that meet its conditions fail. */
import type { DebugEvent } from '../../../block/events.ts';
import { Errno } from '../../../util/errno.ts';
import type { Attributes } from '../attributes.ts';
import {
  type EventCondition,
  IoTypeCondition,
  type RequestCondition,
  SectorCondition,
  StateCondition,
} from './condition.ts';
import { BaseRule, parseEvent } from './rule.ts';

export const injectErrorTypes = {
  event: 'string',
  state: 'number',
  iotype: 'string',
  errno: 'number',
  sector: 'number',
  once: 'bool',
  immediately: 'bool',
} as const;

export interface InjectErrorAction {
  /** What the request fails with; 0 lets it pass, and shields it from the rules behind this one. */
  readonly errno: number;
  /** Remove the rule when it has failed a request. */
  readonly once: boolean;
  /** Fail in the caller's turn instead of the loop's next one. */
  readonly immediately: boolean;
}

export class InjectErrorRule extends BaseRule implements InjectErrorAction {
  readonly kind = 'inject-error';
  readonly errno: number;
  readonly once: boolean;
  readonly immediately: boolean;
  /** Looked at in this order; the first that is not met is the reason why a request passed. */
  readonly conditions: readonly RequestCondition[];
  /** Its event was the last one that matched inject rules: requests are held against it. */
  active = false;
  /** How many requests it failed. */
  injected = 0;

  constructor(
    event: DebugEvent,
    when: EventCondition | null,
    conditions: readonly RequestCondition[],
    action: InjectErrorAction,
  ) {
    super(event, when);
    this.conditions = conditions;
    this.errno = action.errno;
    this.once = action.once;
    this.immediately = action.immediately;
  }

  static parse(attributes: Attributes<typeof injectErrorTypes>): InjectErrorRule {
    const event = parseEvent(attributes.event);
    const sector = SectorCondition.parse(attributes.sector);
    const ioType = IoTypeCondition.parse(attributes.iotype);
    return new InjectErrorRule(
      event,
      StateCondition.parse(attributes.state),
      sector === null ? [ioType] : [sector, ioType],
      {
        errno: Number(BigInt.asIntN(32, attributes.errno ?? BigInt(Errno.EIO))),
        once: attributes.once ?? false,
        immediately: attributes.immediately ?? false,
      },
    );
  }

  override describe(): string {
    const parts = [this.when, ...this.conditions, `errno=${this.errno}`];
    if (this.once) parts.push('once=on');
    if (this.immediately) parts.push('immediately=on');
    return parts
      .map((part) => part?.toString() ?? '')
      .filter((text) => text !== '')
      .join(' ');
  }
}
