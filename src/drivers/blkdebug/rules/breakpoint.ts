/**
 * A breakpoint: requests that fire its event are suspended until its tag is resumed; only the first, unless it is
 * persistent.
 */
import { eventConditions } from './location.ts';
import { BaseRule } from './rule.ts';
import type { RuleSettings } from './settings.ts';

/** A breakpoint as a rule: what `break` makes. QEMU's config files have no section for it. */
export class BreakpointRule extends BaseRule {
  readonly kind = 'suspend';
  readonly checksRequests = false;
  override readonly tag: string;
  /** The rule is exhausted when it has suspended a request. */
  readonly once: boolean;

  /** A breakpoint suspends once unless its settings say otherwise, or how often. */
  constructor(settings: RuleSettings) {
    super(settings, eventConditions(settings));
    this.tag = settings.tag ?? '';
    this.once = settings.once ?? settings.times === undefined;
  }
}
