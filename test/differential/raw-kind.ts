/** Raw images: a file with some runs of data, seen whole or through a window. */
import fc from 'fast-check';
import { type ImageContent, type ImageKind, inPercent, present } from './image-kind.ts';
import { script } from './raw-commands.ts';

/** A run of one byte value that the image has from the start; what is in no run is a hole. */
interface Run {
  readonly offset: number;
  readonly bytes: number;
  readonly value: number;
}

export interface RawContent extends ImageContent {
  readonly runs: readonly Run[];
}

const image: fc.Arbitrary<RawContent> = fc.record({
  lengthBytes: fc.oneof(
    { weight: 12, arbitrary: fc.integer({ min: 48, max: 160 }).map((n) => n * 4096) },
    { weight: 3, arbitrary: fc.nat(1000).map((n) => n * 512) },
    { weight: 1, arbitrary: fc.nat(500_000) },
  ),
  runs: fc.array(
    fc.record({
      offset: fc.nat(100).map((n) => n * 4096),
      bytes: fc.integer({ min: 1, max: 128 }).map((n) => n * 1024),
      value: fc.nat(255),
    }),
    { maxLength: 5 },
  ),
});

export const rawKind: ImageKind<RawContent> = {
  name: 'raw',
  driver: 'raw',
  image,
  async create(sandbox, { lengthBytes, runs }) {
    sandbox.image('disk.img', lengthBytes);
    for (const { offset, bytes, value } of runs) {
      const length = Math.min(bytes, lengthBytes - offset);
      if (length > 0) sandbox.fill('disk.img', offset, length, value);
    }
  },
  describe: ({ lengthBytes, runs }) =>
    `image disk.img: ${lengthBytes} bytes${runs.map((run) => `, ${run.bytes} of ${run.value} at ${run.offset}`).join('')}`,
  clusterBytes: () => 1,
  hasOpenOrder: () => false,
  options: fc
    .record({
      offset: fc.oneof(
        { weight: 5, arbitrary: fc.constant(undefined) },
        fc.constantFrom('512', '4096', '65536', '100'),
      ),
      size: fc.oneof(
        { weight: 5, arbitrary: fc.constant(undefined) },
        fc.constantFrom('65536', '4096', '131072', '512'),
      ),
      'detect-zeroes': inPercent(30, fc.constantFrom('on', 'off', 'unmap')),
    })
    .map(present),
  switches: fc.constant([]),
  // What the generic layer and files fire, and one event that never happens there.
  events: [
    'read_aio',
    'write_aio',
    'pwritev',
    'pwritev_zero',
    'pwritev_done',
    'pwritev_rmw_head',
    'pwritev_rmw_after_head',
    'pwritev_rmw_tail',
    'pwritev_rmw_after_tail',
    'flush_to_os',
    'flush_to_disk',
    'none',
    'l2_load',
  ],
  script,
};
