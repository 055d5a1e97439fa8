/** What a request waits for, in a few words, for views and messages. */
import type { WaitReason } from './loop.ts';

/** "breakpoint A", "request 4", "lock qcow2", "the server", "sleep". `null`: it can run and waits for its turn. */
export function describeWait(reason: WaitReason | null): string {
  if (reason === null) return 'its turn';
  switch (reason.kind) {
    case 'breakpoint':
      return `breakpoint ${reason.tag}`;
    case 'overlap':
      return reason.blockedBy === null ? 'an overlapping request' : `request ${reason.blockedBy.id}`;
    case 'allocation':
      return reason.blockedBy === null ? 'an allocation' : `allocation of request ${reason.blockedBy.id}`;
    case 'lock':
      return `lock ${reason.name}`;
    case 'parts':
      return 'its parts';
    case 'host-io':
      return 'host I/O';
    case 'bottom-half':
      return 'its turn';
    case 'flush':
      return 'another flush';
    case 'network':
      return 'the server';
    case 'timer':
      return 'sleep';
  }
}
