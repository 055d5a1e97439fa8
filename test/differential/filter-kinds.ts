/** Filters over a raw file, which may have blkdebug between: scripts of raw images, and what else each filter keeps. */
import fc from 'fast-check';
import { copyFile } from 'node:fs/promises';
import { withoutFormatEvents } from './encrypted-kinds.ts';
import { type ImageKind, inPercent, present } from './image-kind.ts';
import { type RawContent, rawKind } from './raw-kind.ts';
import type { Unit } from './unit.ts';

type Options = Readonly<Record<string, string>>;

/** A filter: the child that is `disk.img`, other files, and options. */
interface Filter {
  readonly name: string;
  readonly child?: string;
  /** Files with the content of `disk.img`. */
  readonly copies?: readonly string[];
  /** Files that begin empty. */
  readonly empty?: readonly string[];
  readonly fixed?: Options;
  /** For `--object`. */
  readonly objects?: readonly string[];
  /** Zeroes are not written as such: qemu-io 7.2 aborts there. */
  readonly lacksZeroes?: boolean;
  readonly options: fc.Arbitrary<Options>;
}

function kindOf(filter: Filter): ImageKind<RawContent> {
  const {
    name,
    child = 'file',
    copies = [],
    empty = [],
    fixed = {},
    objects = [],
    lacksZeroes = false,
    options,
  } = filter;
  return {
    ...rawKind,
    describe: (content) => rawKind.describe(content),
    clusterBytes: () => 1,
    hasOpenOrder: () => false,
    name,
    driver: name,
    fileFormat: 'raw',
    child,
    fixed: () => fixed,
    switches: fc.constant(objects.flatMap((object) => ['--object', object])),
    async create(sandbox, content) {
      await rawKind.create(sandbox, content);
      for (const file of copies) await copyFile(sandbox.path('disk.img'), sandbox.path(file));
      for (const file of empty) sandbox.image(file, 0);
    },
    options: fc
      .tuple(options, inPercent(lacksZeroes ? 0 : 30, fc.constantFrom('on', 'off', 'unmap')))
      .map(([own, zeroes]) => ({ ...own, ...present({ 'detect-zeroes': zeroes }) })),
    events: rawKind.events.filter((event) => event !== 'read_aio' && event !== 'write_aio'),
    script: rawKind.script.map((units) =>
      units.map(withoutFormatEvents).map((one) => (lacksZeroes ? withoutZeroes(one) : one)),
    ),
  };
}

/** Reads in the place of writes of zeroes. */
function withoutZeroes({ lines, disturbs }: Unit): Unit {
  const replaced = (line: string): string => line.replace(/^(aio_)?write (-\w*z\w* )/, '$1read ');
  return { disturbs, lines: (context) => lines(context).map(replaced) };
}

const file = (name: string, filename: string): Options => ({
  [`${name}.driver`]: 'file',
  [`${name}.filename`]: filename,
});
const none = fc.constant({});

export const filterKinds: readonly ImageKind<RawContent>[] = [
  kindOf({
    name: 'blklogwrites',
    empty: ['log.img'],
    fixed: file('log', 'log.img'),
    options: fc
      .record({
        'log-sector-size': inPercent(50, fc.constantFrom('512', '4096', '1024', '32', '16', '1000')),
        'log-super-update-interval': inPercent(50, fc.constantFrom('1', '2', '7')),
        'log-append': inPercent(30, fc.constant('on')),
      })
      .map(present),
  }),
  kindOf({
    name: 'preallocate',
    options: fc
      .record({
        'prealloc-align': inPercent(70, fc.constantFrom('512', '4096', '65536', '1M', '1000')),
        'prealloc-size': inPercent(70, fc.constantFrom('0', '4096', '100000', '1M')),
      })
      .map(present),
  }),
  kindOf({
    name: 'blkverify',
    child: 'test',
    copies: ['raw.img'],
    fixed: file('raw', 'raw.img'),
    lacksZeroes: true,
    options: none,
  }),
  kindOf({
    name: 'throttle',
    objects: ['throttle-group,id=g,x-iops-total=1000000'],
    fixed: { 'throttle-group': 'g' },
    options: none,
  }),
  kindOf({
    name: 'quorum',
    child: 'children.0',
    copies: ['b.img', 'c.img'],
    fixed: { 'vote-threshold': '2', ...file('children.1', 'b.img'), ...file('children.2', 'c.img') },
    options: fc
      .record({
        'read-pattern': inPercent(40, fc.constantFrom('fifo', 'quorum')),
        'rewrite-corrupted': inPercent(40, fc.constant('on')),
      })
      .map(present),
  }),
];
