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
  /** The driver of the node on top, if that is another one: a graph in which the filter is looked at. */
  readonly driver?: string;
  /** Changes a line of a script, or leaves it out (null): qemu-io 7.2 aborts there, or waits for ever. */
  readonly adapt?: (line: string) => string | null;
  /** Zeroes are not to be looked for. */
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
    driver = name,
    adapt = (line) => line,
    lacksZeroes = false,
    options,
  } = filter;
  return {
    ...rawKind,
    describe: (content) => rawKind.describe(content),
    clusterBytes: () => 1,
    hasOpenOrder: () => false,
    name,
    driver,
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
    script: rawKind.script.map((units) => units.map(withoutFormatEvents).map((one) => adapted(one, adapt))),
  };
}

function adapted({ lines, disturbs }: Unit, adapt: (line: string) => string | null): Unit {
  return { disturbs, lines: (context) => lines(context).flatMap((line) => adapt(line) ?? []) };
}

/** Reads in the place of writes of zeroes. */
function withoutZeroes(line: string): string {
  return line.replace(/^(aio_)?write (-\w*z\w* )/, '$1read ');
}

/**
 * Breakpoints are set in the first child alone: where blkdebug is elsewhere, qemu-io waits for them for ever. Requests
 * that they would have put into an order wait for their end.
 */
function withoutBreakpoints(line: string): string | null {
  if (/^(?:break|wait_break|resume|remove_break)\b/.test(line)) return null;
  return line.replace(/^aio_write -q -P/, 'write -q -P');
}

/** A line of 1,023 bytes and more is cut by qemu-io: the options of some graphs are too long for `open`. */
function withoutReopening(line: string): string | null {
  return /^(?:close|open)\b/.test(line) ? null : withoutBreakpoints(line);
}

/** Discards of whole blocks alone: the others are reads. */
function withWholeDiscards(line: string): string {
  const [, offset, bytes] = /^(?:aio_)?discard (?:-\w+ )*(\S+) (\S+)$/.exec(line) ?? [];
  const isWhole = [offset, bytes].every((text) => Number(text) % LARGEST_BLOCK === 0);
  return isWhole ? line : line.replace(/discard (?:-\w+ )*/, 'read ');
}

const file = (name: string, filename: string): Options => ({
  [`${name}.driver`]: 'file',
  [`${name}.filename`]: filename,
});
const none = fc.constant({});
/** The largest sector of a log, in bytes. */
const LARGEST_BLOCK = 4096;

const cbwOptions = fc
  .record({ 'on-cbw-error': inPercent(40, fc.constantFrom('break-guest-write', 'break-snapshot')) })
  .map(present);

export const filterKinds: readonly ImageKind<RawContent>[] = [
  kindOf({
    name: 'blklogwrites',
    adapt: withWholeDiscards,
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
    child: 'raw',
    copies: ['test.img'],
    fixed: file('test', 'test.img'),
    lacksZeroes: true,
    adapt: withoutZeroes,
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
    adapt: withoutBreakpoints,
    copies: ['b.img', 'c.img'],
    fixed: { 'vote-threshold': '2', ...file('children.1', 'b.img'), ...file('children.2', 'c.img') },
    options: fc
      .record({
        'read-pattern': inPercent(40, fc.constantFrom('fifo', 'quorum')),
        'rewrite-corrupted': inPercent(40, fc.constant('on')),
      })
      .map(present),
  }),
  kindOf({
    name: 'copy-before-write',
    copies: ['old.img'],
    fixed: file('target', 'old.img'),
    options: cbwOptions,
  }),
  kindOf({
    name: 'copy-before-write-target',
    driver: 'copy-before-write',
    child: 'target',
    copies: ['now.img'],
    fixed: file('file', 'now.img'),
    adapt: withoutBreakpoints,
    options: cbwOptions,
  }),
  // Reads are those of the snapshot, which refuses writes; they are done to the disk alone.
  kindOf({
    name: 'snapshot-access',
    driver: 'quorum',
    child: 'children.0.file.file',
    copies: ['old.img'],
    fixed: {
      'vote-threshold': '1',
      'read-pattern': 'fifo',
      'children.0.driver': 'snapshot-access',
      'children.0.file.driver': 'copy-before-write',
      'children.0.file.node-name': 'now',
      ...file('children.0.file.target', 'old.img'),
      'children.1': 'now',
    },
    adapt: withoutReopening,
    options: fc
      .record({ 'children.0.file.on-cbw-error': inPercent(40, fc.constantFrom('break-guest-write', 'break-snapshot')) })
      .map(present),
  }),
];
