/** The steps of a script of the model check; as text each is a command. */
import fc from 'fast-check';
import { hex } from '../../src/search/model/content.ts';
import { SECTOR_BYTES } from '../../src/search/model/disk-model.ts';

/** A request over whole sectors. `value` counts for writes alone. */
export interface RequestStep {
  readonly kind: 'write' | 'zero' | 'unmap' | 'discard' | 'read';
  readonly sector: number;
  readonly sectorCount: number;
  readonly value: number;
}

/** A request, or a command that runs as it is written. */
export type Step = RequestStep | string;

const breakEvents = [
  'write_aio',
  'read_aio',
  'pwritev',
  'pwritev_done',
  'pwritev_zero',
  'pwritev_rmw_head',
  'pwritev_rmw_after_head',
  'pwritev_rmw_tail',
  'pwritev_rmw_after_tail',
  'cow_read',
  'cow_write',
  'l2_load',
  'l2_update',
  'l2_alloc_write',
  'cluster_alloc',
  'refblock_update_part',
  'flush_to_os',
  'flush_to_disk',
];

const anyTag = fc.constantFrom('A', 'B', 'C');

// All in the first few clusters, so that requests meet.
const anyRequest = fc.record({
  kind: fc.constantFrom<RequestStep['kind']>('write', 'write', 'write', 'zero', 'unmap', 'discard', 'read'),
  sector: fc.nat({ max: 23 }),
  sectorCount: fc.integer({ min: 1, max: 12 }),
  value: fc.integer({ min: 1, max: 0xdd }),
});

const anyCommand = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(fc.constantFrom(...breakEvents), anyTag).map((words) => `break ${words.join(' ')}`),
  },
  { weight: 3, arbitrary: anyTag.map((tag) => `resume ${tag}`) },
  { weight: 1, arbitrary: anyTag.map((tag) => `remove_break ${tag}`) },
  { weight: 1, arbitrary: fc.constant('flush') },
);

export const anySteps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof({ weight: 3, arbitrary: anyRequest }, { weight: 2, arbitrary: anyCommand }),
  { minLength: 1, maxLength: 14, size: 'max' },
);

/** Options that a reopen may change; those of qcow2 are refused by raw, which is an outcome, too. */
const anyReopen = fc
  .constantFrom('-c writeback', '-c writethrough', '-c unsafe', '-o overlap-check=all', '-o l2-cache-size=64k', '')
  .map((words) => `reopen ${words}`.trim());

/** Other lengths than before; none cuts off what the model knows of. */
const anyTruncate = fc.constantFrom('truncate 128k', 'truncate 96k', 'truncate -m metadata 160k');

/** `anySteps` with reopens and truncates in between, and resumes of all. */
export const anyStepsWithReopen: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: anyRequest },
    { weight: 2, arbitrary: anyCommand },
    { weight: 2, arbitrary: anyReopen },
    { weight: 1, arbitrary: fc.constant('resume -a') },
    { weight: 1, arbitrary: anyTruncate },
  ),
  { minLength: 2, maxLength: 16, size: 'max' },
);

/** aio_discard is not in qemu-io, whose `discard` would not come back from a breakpoint. */
export function commandOf(step: Step): string {
  if (typeof step === 'string') return step;
  const range = `${step.sector * SECTOR_BYTES} ${step.sectorCount * SECTOR_BYTES}`;
  if (step.kind === 'write') return `aio_write -P ${hex(step.value)} ${range}`;
  if (step.kind === 'zero') return `aio_write -z ${range}`;
  if (step.kind === 'unmap') return `aio_write -z -u ${range}`;
  return step.kind === 'discard' ? `aio_discard ${range}` : `aio_read ${range}`;
}
