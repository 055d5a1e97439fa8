/** Random scripts for a session in a sandbox: requests at once and in the background, breakpoints, rules, time. */
import fc from 'fast-check';

const KIB = 1024;
const offset = fc.integer({ min: 0, max: 31 }).map((at) => at * 16 * KIB);
const bytes = fc.constantFrom(512, 4 * KIB, 16 * KIB, 64 * KIB, 96 * KIB);
const tag = fc.constantFrom('A', 'B', 'C');
const event = fc.constantFrom(
  'write_aio',
  'l2_update',
  'l2_load',
  'cluster_alloc',
  'pwritev',
  'read_aio',
  'flush_to_disk',
);

const request = fc
  .tuple(fc.constantFrom('write -P 7', 'aio_write -P 9', 'read', 'aio_read', 'discard', 'write -z'), offset, bytes)
  .map(([command, at, count]) => `${command} ${at} ${count}`);

const control = fc.oneof(
  fc.constantFrom(
    'aio_flush',
    'flush',
    'resume all',
    'sleep 1',
    'sleep 1000',
    'state 2',
    'state 1',
    'length',
    'where 0',
  ),
  tag.map((name) => `resume ${name}`),
  tag.map((name) => `remove_break ${name}`),
  tag.map((name) => `cancel ${name}`),
  tag.map((name) => `step ${name}`),
  fc.tuple(event, tag).map(([name, under]) => `break ${name} ${under}`),
  fc.tuple(event, tag).map(([name, under]) => `break ${name} ${under} nth=2`),
);

const rule = fc.oneof(
  event.map((name) => `rule add inject-error event=${name} errno=EIO once=on`),
  fc
    .tuple(event, fc.integer({ min: 1, max: 99 }))
    .map(([name, seed]) => `rule add inject-error event=${name} errno=ENOSPC probability=0.3 seed=${seed}`),
  event.map((name) => `rule add inject-error event=${name} errno=0 delay-ns=5000000`),
  event.map((name) => `rule add set-state event=${name} state=1 new_state=2`),
  fc.constantFrom(
    'rule add corrupt how=noise on=read seed=3',
    'rule disable all',
    'rule enable all',
    'rule remove all',
  ),
);

/** Lines that end by themselves, in any order. */
export const randomScript = fc.array(
  fc.oneof({ weight: 6, arbitrary: request }, { weight: 3, arbitrary: control }, { weight: 2, arbitrary: rule }),
  { minLength: 3, maxLength: 25 },
);
