/** Random qcow2 images of every geometry, and what was made of them before: data, snapshots, bitmaps, damage. */
import fc from 'fast-check';
import { type Damage, damage } from './damage.ts';
import { type ImageContent, inPercent, optionString, present, type Secret } from './image-kind.ts';

interface Backing {
  readonly format: 'raw' | 'qcow2';
  readonly lengthBytes: number;
  readonly clusterBytes: number;
  readonly commands: readonly string[];
}

export interface Qcow2Content extends ImageContent {
  readonly clusterBytes: number;
  /** The options given to `qemu-img create -o`. */
  readonly create: Readonly<Record<string, string>>;
  readonly backing: Backing | null;
  /** Changes made to the image beforehand, each a command line of `qemu-io` or `qemu-img` on `disk.img`. */
  readonly history: readonly (readonly string[])[];
  readonly damage: readonly Damage[];
}

/** Places and lengths in clusters and sectors, as commands of a history. */
export function historyCommands(clusterBytes: number, lengthBytes: number, compresses: boolean): fc.Arbitrary<string> {
  const sectors = Math.max(1, Math.floor(lengthBytes / 512));
  const clusterSectors = clusterBytes / 512;
  const range = fc
    .oneof(
      fc.tuple(
        fc.nat(Math.min(40, sectors)).map((n) => n * clusterSectors),
        fc.integer({ min: 1, max: 4 }).map((n) => n * clusterSectors),
      ),
      fc.tuple(fc.nat(sectors), fc.integer({ min: 1, max: 200 })),
      fc.tuple(fc.nat(Math.min(sectors, clusterSectors * 8)), fc.integer({ min: 1, max: clusterSectors + 8 })),
    )
    .map(([start, count]) => {
      const first = Math.min(start, sectors - 1);
      return `${first * 512} ${Math.min(count, sectors - first) * 512}`;
    });
  const pattern = fc.integer({ min: 0, max: 255 });
  const write = fc.tuple(pattern, range).map(([value, where]) => `write -P ${value} ${where}`);
  const packed = fc
    .tuple(pattern, fc.nat(40))
    .map(
      ([value, n]) =>
        `write -c -P ${value} ${(n % Math.ceil(lengthBytes / clusterBytes)) * clusterBytes} ${clusterBytes}`,
    );
  const most = fc
    .tuple(pattern, fc.integer({ min: 1, max: Math.min(sectors, 8192) }))
    .map(([value, count]) => `write -P ${value} 0 ${count * 512}`);
  const zeroes = fc.tuple(fc.constantFrom('-z', '-z -u'), range).map(([flags, where]) => `write ${flags} ${where}`);
  return fc.oneof(
    { weight: 6, arbitrary: write },
    { weight: compresses ? 3 : 0, arbitrary: packed },
    { weight: 1, arbitrary: most },
    { weight: 1, arbitrary: zeroes },
    { weight: 1, arbitrary: range.map((where) => `discard ${where}`) },
  );
}

const clusterBits = fc.oneof(
  { weight: 4, arbitrary: fc.constant(9) },
  { weight: 4, arbitrary: fc.constant(16) },
  { weight: 6, arbitrary: fc.integer({ min: 9, max: 21 }) },
);

/** From a few sectors to some dozens of clusters; now and then far beyond what is written. */
function imageLength(bits: number): fc.Arbitrary<number> {
  const cluster = 2 ** bits;
  const most = Math.max(4, Math.min(400, Math.floor(3_000_000 / cluster)));
  return fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 1, max: most }).map((n) => n * cluster) },
    { weight: 4, arbitrary: fc.integer({ min: 1, max: (most * cluster) / 512 }).map((n) => n * 512) },
    // So many clusters that they need a longer refcount table.
    { weight: bits <= 10 ? 2 : 0, arbitrary: fc.integer({ min: 3000, max: 8192 }).map((n) => n * 512) },
    // With at most 256 L2 tables, each of which a discard of the whole disk makes.
    {
      weight: 1,
      arbitrary: fc.integer({ min: 1, max: 256 }).map((n) => Math.min(n * 2 ** 24, n * cluster * (cluster / 8))),
    },
  );
}

const backing = (lengthBytes: number): fc.Arbitrary<Backing> =>
  fc
    .record({
      format: fc.constantFrom('raw' as const, 'qcow2' as const),
      bits: clusterBits,
      share: fc.constantFrom(1, 1, 0.5, 0.3, 0.9, 1.4, 2),
    })
    .chain(({ format, bits, share }) => {
      const bytes = Math.max(512, Math.floor((Math.min(lengthBytes, 8 << 20) * share) / 512) * 512);
      return fc
        .array(historyCommands(2 ** bits, bytes, format === 'qcow2'), { minLength: 1, maxLength: 6 })
        .map((commands) => ({ format, lengthBytes: bytes, clusterBytes: 2 ** bits, commands }));
    });

/** Options of version 3 that go together. */
const version3 = (bits: number) =>
  fc
    .record({
      refcount_bits: inPercent(60, fc.constantFrom('1', '2', '4', '8', '32', '64')),
      lazy_refcounts: inPercent(30, fc.constant('on')),
      extended_l2: bits >= 14 ? inPercent(40, fc.constant('on')) : fc.constant(undefined),
      compression_type: inPercent(40, fc.constant('zstd')),
      data_file: inPercent(15, fc.constant('data.raw')),
      data_file_raw: inPercent(40, fc.constant('on')),
      preallocation: inPercent(20, fc.constantFrom('metadata', 'falloc', 'full')),
    })
    .map(({ data_file_raw: raw, ...rest }) => ({
      compat: '1.1',
      ...present({ ...rest, data_file_raw: rest.data_file === undefined ? undefined : raw }),
    }));
const version2 = inPercent(20, fc.constantFrom('metadata', 'falloc', 'full')).map((preallocation) => ({
  compat: '0.10',
  ...present({ preallocation }),
}));

export const qcow2Image: fc.Arbitrary<Qcow2Content> = clusterBits
  .chain((bits) =>
    fc.record({
      bits: fc.constant(bits),
      wantedBytes: imageLength(bits),
      create: fc.oneof({ weight: 4, arbitrary: version3(bits) }, { weight: 1, arbitrary: version2 }) as fc.Arbitrary<
        Record<string, string>
      >,
      isOverlay: fc.boolean(),
    }),
  )
  .chain(({ bits, wantedBytes, create: chosen, isOverlay }) => {
    const clusterBytes = 2 ** bits;
    // A raw data file is mapped from end to end.
    const lengthBytes = chosen['data_file_raw'] === undefined ? wantedBytes : Math.min(wantedBytes, 8 << 20);
    const hasDataFile = chosen['data_file'] !== undefined;
    const { preallocation, ...plain } = chosen;
    const overlays = isOverlay && chosen['data_file_raw'] === undefined;
    // Preallocated images are made whole, so they must be small and without backing.
    const preallocates = preallocation !== undefined && !overlays && lengthBytes <= 8 << 20;
    const create = { cluster_size: String(clusterBytes), ...plain, ...(preallocates ? { preallocation } : {}) };
    const commands = fc
      .array(historyCommands(clusterBytes, lengthBytes, !hasDataFile), { minLength: 1, maxLength: 5 })
      .map((lines) => ['qemu-io', ...lines]);
    const step = fc.oneof(
      { weight: 6, arbitrary: commands },
      { weight: 2, arbitrary: fc.constantFrom('a', 'b', 'c').map((tag) => ['qemu-img', 'snapshot', '-c', tag]) },
      {
        weight: chosen['compat'] === '1.1' ? 1 : 0,
        arbitrary: fc
          .tuple(fc.constantFrom('x', 'y'), fc.constantFrom('512', '4096', '65536'))
          .map(([name, grain]) => ['qemu-img', 'bitmap', '--add', '-g', grain, 'NAME', name]),
      },
      { weight: 1, arbitrary: fc.constantFrom('a', 'b').map((tag) => ['qemu-img', 'snapshot', '-d', tag]) },
      // Ends without closing the image: lazy refcounts leave it dirty, bitmaps in use.
      { weight: 1, arbitrary: commands.map((lines) => [...lines, 'abort']) },
    );
    return fc.record({
      lengthBytes: fc.constant(lengthBytes),
      clusterBytes: fc.constant(clusterBytes),
      create: fc.constant(create),
      backing: overlays ? backing(lengthBytes) : fc.constant(null),
      history: fc.array(step, { maxLength: 5 }),
      damage: fc.oneof({ weight: 6, arbitrary: fc.constant([]) }, fc.array(damage, { minLength: 1, maxLength: 2 })),
    });
  });

/** The command lines that make the image. With a secret, it is encrypted. */
export function makingOf({ create, backing: below, history, lengthBytes }: Qcow2Content, secret?: Secret): string[][] {
  const lines: string[][] = [];
  const object = secret === undefined ? [] : ['--object', secret.definition];
  const access = secret === undefined ? [] : [...object, '--image-opts'];
  const disk = secret === undefined ? 'disk.img' : optionString('qcow2', secret, 'disk.img');
  const perform = (words: readonly string[], file: string, commands: readonly string[]) =>
    lines.push(['qemu-io', ...words, ...commands.flatMap((command) => ['-c', command]), file]);
  if (below !== null) {
    const { format, clusterBytes, commands } = below;
    const options = format === 'qcow2' ? ['-o', `cluster_size=${clusterBytes}`] : [];
    lines.push(['qemu-img', 'create', '-q', '-f', format, ...options, 'base.img', String(below.lengthBytes)]);
    perform(['-f', format], 'base.img', commands);
  }
  const over = below === null ? [] : ['-b', 'base.img', '-F', below.format];
  const options = Object.entries(create).map(([key, value]) => `${key}=${value}`);
  lines.push([
    'qemu-img',
    'create',
    '-q',
    ...object,
    '-f',
    'qcow2',
    '-o',
    options.join(','),
    ...over,
    'disk.img',
    `${lengthBytes}`,
  ]);
  for (const [program = '', ...words] of history) {
    const [verb = '', ...rest] = words;
    if (program === 'qemu-io') perform(secret === undefined ? ['-f', 'qcow2'] : access, disk, words);
    else if (words.includes('NAME'))
      lines.push([program, verb, ...access, ...rest.map((word) => (word === 'NAME' ? disk : word))]);
    else lines.push([program, verb, ...access, ...rest, disk]);
  }
  return lines;
}
