/** `inject-error`: once its event has fired, requests that meet its conditions fail. */
import { Errno } from '../../../util/errno.ts';
import { type Condition, type IoType, IoTypeCondition, type RequestCondition, SectorCondition } from './condition.ts';
import { NodeCondition, RequestOffsetCondition } from './location.ts';
import { BaseRule } from './rule.ts';
import type { RuleSettings } from './settings.ts';

/** A rule of this action, with its conditions and counters. */
export class InjectErrorRule extends BaseRule {
  readonly kind = 'inject-error';
  /** The errno that the request fails with; 0 lets it pass, and shields it from the rules after this one. */
  readonly errno: number;
  /** The rule is exhausted when it has failed a request. */
  readonly once: boolean;
  /** Fail in the caller's turn instead of the loop's next one. */
  readonly immediately: boolean;
  /** Evaluated in this order; the first that is not met is the reason why a request passed. */
  readonly conditions: readonly RequestCondition[];
  /** Its event was the last one that matched inject-error rules: requests are checked against it. */
  active = false;
  /** How many requests it failed. */
  injected = 0;

  constructor(settings: RuleSettings) {
    const { node, sector, offset, iotype, errno, once, immediately } = settings;
    super(settings, node === undefined ? [] : [new NodeCondition(node)]);
    this.errno = errno ?? Errno.EIO;
    this.once = once ?? false;
    this.immediately = immediately ?? false;
    const conditions: RequestCondition[] = [];
    if (sector !== undefined) conditions.push(new SectorCondition(sector));
    if (offset !== undefined) conditions.push(new RequestOffsetCondition(offset));
    conditions.push(new IoTypeCondition(iotype ?? null));
    this.conditions = conditions;
  }

  /** The first condition that a request does not meet, the counting ones included; null if it meets all. */
  unmetBy(ioType: IoType, offset: number, bytes: number): Condition | null {
    for (const condition of this.conditions) if (!condition.holds(ioType, offset, bytes)) return condition;
    return this.countThisTime();
  }
}
