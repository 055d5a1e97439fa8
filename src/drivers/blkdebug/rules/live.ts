/** The conditions that rules have beyond QEMU's. Commands can give them; config files and image options cannot. */
import type { BlkdebugNode } from '../state.ts';
import { type CountingCondition, countingNames, parseCounting } from './counting.ts';
import { ByteRange, NodeCondition } from './place.ts';

/** Those of one rule, as far as they are given. */
export interface LiveConditions {
  readonly node: NodeCondition | null;
  readonly range: ByteRange | null;
  readonly counting: readonly CountingCondition[];
}

/** Those of a rule from a file or an option. */
export const noLiveConditions: LiveConditions = { node: null, range: null, counting: [] };

/** Names of their attributes. */
export const liveNames = ['offset', 'node', ...countingNames] as const;

/** Takes these conditions out of `settings`, for a rule on `node`. EINVAL for a value that makes no sense. */
export function takeLiveConditions(settings: Map<string, string>, node: BlkdebugNode): LiveConditions {
  const name = settings.get('node');
  const range = settings.get('offset');
  const live = {
    node: name === undefined ? null : NodeCondition.parse(name, node),
    range: range === undefined ? null : ByteRange.parse(range),
    counting: parseCounting(settings),
  };
  for (const key of liveNames) settings.delete(key);
  return live;
}
