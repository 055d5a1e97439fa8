/** `inject-error`: once its event has fired, requests that meet its conditions fail. */
import { Errno } from '../../../util/errno.ts';
import { RequestRule } from './request-rule.ts';
import type { RuleSettings } from './settings.ts';

/** A rule of this action, with its conditions and counters. */
export class InjectErrorRule extends RequestRule {
  readonly kind = 'inject-error';
  /** The errno that the request fails with; 0 lets it pass, and shields it from the rules after this one. */
  readonly errno: number;
  /** Fail in the caller's turn instead of the loop's next one. */
  readonly immediately: boolean;
  /** Nanoseconds of the loop's clock that the request waits before it fails or, with errno 0, goes on. */
  readonly delayNs: number;

  constructor(settings: RuleSettings) {
    const { iotype, errno, immediately } = settings;
    super(settings, iotype === undefined ? null : [iotype]);
    this.errno = errno ?? Errno.EIO;
    this.immediately = immediately ?? false;
    this.delayNs = settings['delay-ns'] ?? 0;
  }
}
