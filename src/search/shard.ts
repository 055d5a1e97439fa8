/** Shards: which part of a search one of several machines does. */
import { invalidArgument } from '../block/error.ts';

/** A part: the units whose number leaves `index` when it is divided by `count`. */
export interface Shard {
  /** From 0. */
  readonly index: number;
  readonly count: number;
}

/** All of it. */
const WHOLE: Shard = { index: 0, count: 1 };
const COUNT_MAX = 1_000_000;

/** Whether a unit belongs to a shard. */
export function isInShard(unit: number, { index, count }: Shard): boolean {
  return unit % count === index;
}

/**
 * `I/N`, from 1/N to N/N; `/N` takes the index from the environment of an engine. Null: the environment alone decides,
 * and without one it is the whole search. Throws EINVAL for what makes no sense.
 */
export function parseShard(text: string | null, environment: NodeJS.ProcessEnv): Shard {
  if (text === null) return fromEnvironment(environment, null) ?? WHOLE;
  const [, number, total = ''] = /^(\d{0,7})\/(\d{1,7})$/.exec(text) ?? [];
  const count = Number(total);
  if (number === undefined || count < 1 || count > COUNT_MAX) throw invalidShard(text);
  if (number === '') {
    const shard = fromEnvironment(environment, count);
    if (shard === null) throw invalidArgument(`--shard ${text}: no engine says which shard this is`);
    return shard;
  }
  const index = Number(number) - 1;
  if (index < 0 || index >= count) throw invalidShard(text);
  return { index, count };
}

function invalidShard(text: string): Error {
  return invalidArgument(`--shard takes I/N, from 1/N to N/N, not '${text}'`);
}

/** Variables that say the index of a task, each with those that say the first index and how many there are. */
const engines = [
  // Bazel's rules of tests.
  { index: 'TEST_SHARD_INDEX', first: null, count: 'TEST_TOTAL_SHARDS' },
  // Slurm's job arrays.
  { index: 'SLURM_ARRAY_TASK_ID', first: 'SLURM_ARRAY_TASK_MIN', count: 'SLURM_ARRAY_TASK_COUNT' },
  // Kubernetes' indexed jobs, which tell a task its index alone.
  { index: 'JOB_COMPLETION_INDEX', first: null, count: null },
] as const;

function fromEnvironment(environment: NodeJS.ProcessEnv, given: number | null): Shard | null {
  for (const engine of engines) {
    const indexText = environment[engine.index];
    if (indexText === undefined || indexText === '') continue;
    const countText = engine.count === null ? undefined : environment[engine.count];
    const count = given ?? numberOf(engine.count ?? '', countText);
    if (count === null) throw invalidArgument(`${engine.index} is set: say how many shards there are, --shard /N`);
    const first = engine.first === null ? 0 : (numberOf(engine.first, environment[engine.first]) ?? 0);
    const index = (numberOf(engine.index, indexText) ?? 0) - first;
    if (index < 0 || index >= count) throw invalidArgument(`${engine.index}=${indexText} is no shard of ${count}`);
    return { index, count };
  }
  return null;
}

function numberOf(name: string, text: string | undefined): number | null {
  if (text === undefined || text === '') return null;
  if (!/^\d{1,7}$/.test(text)) throw invalidArgument(`${name}=${text} is no number of shards`);
  return Number(text);
}
