/** A breakpoint: the first request that fires its event waits until its tag is resumed. */
import { BlockError } from '../../../block/error.ts';
import { eventByName, type DebugEvent } from '../../../block/events.ts';
import { Errno } from '../../../util/errno.ts';
import { BaseRule } from './rule.ts';

export class SuspendRule extends BaseRule {
  readonly kind = 'suspend';
  readonly tag: string;

  constructor(event: DebugEvent, tag: string) {
    super(event, null);
    this.tag = tag;
  }

  /** ENOENT for an unknown event. */
  static parse(eventName: string, tag: string): SuspendRule {
    const event = eventByName(eventName);
    if (event === undefined) throw new BlockError(Errno.ENOENT);
    return new SuspendRule(event, tag);
  }

  override describe(): string {
    return `tag=${this.tag}`;
  }
}
