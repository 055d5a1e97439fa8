/** Images of QEMU's other formats, made by qemu-img and written by qemu-io before the random scripts run over them. */
import fc from 'fast-check';
import { runProgram } from '../helpers/run-program.ts';
import { SECRET } from './encrypted-kinds.ts';
import { type ImageContent, type ImageKind, inPercent, optionString, present, type Secret } from './image-kind.ts';
import { type Scene, scriptOver } from './qcow2-commands.ts';
import { historyCommands } from './qcow2-image.ts';
import { rawKind } from './raw-kind.ts';

/** An image, and what was made of it before. */
export interface FormatContent extends ImageContent {
  readonly clusterBytes: number;
  /** The options given to `qemu-img create -o`. */
  readonly create: Readonly<Record<string, string>>;
  /** A backing file with these commands run on it; null: none. */
  readonly backing: { readonly lengthBytes: number; readonly commands: readonly string[] } | null;
  /** Commands, and whether qemu-io then ends without closing the image. */
  readonly history: readonly string[];
  readonly aborts: boolean;
}

/** The properties in which the formats differ. */
interface Format {
  readonly name: string;
  readonly driver: string;
  readonly secret?: Secret;
  /** The format of backing files; raw if it is left out. */
  readonly backingDriver?: string;
  /** Geometries: the options of creation, the cluster that follows from them, and whether there is a backing file. */
  readonly geometry: fc.Arbitrary<{
    readonly create: Readonly<Record<string, string>>;
    readonly clusterBytes: number;
    readonly isOverlay: boolean;
    /** Every image is longer. */
    readonly leastBytes?: number;
  }>;
  readonly compresses: boolean;
  readonly events: readonly string[];
  readonly scenes: readonly Scene[];
  readonly twoAllocate: boolean;
}

function contentOf({ geometry, compresses }: Format): fc.Arbitrary<FormatContent> {
  return geometry.chain(({ create, clusterBytes, isOverlay, leastBytes = 0 }) => {
    const most = Math.max(8, Math.min(400, Math.floor(3_000_000 / clusterBytes)));
    const length = fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 1, max: most }).map((n) => n * clusterBytes) },
      { weight: 4, arbitrary: fc.integer({ min: 1, max: (most * clusterBytes) / 512 }).map((n) => n * 512) },
      { weight: 1, arbitrary: fc.integer({ min: 20, max: 60 }).map((n) => n * 1_048_576) },
    );
    return length.chain((more) => {
      const lengthBytes = leastBytes + more;
      const backing = fc.constantFrom(1, 1, 0.5, 0.3, 1.4).chain((share) => {
        const bytes = Math.max(512, Math.floor((Math.min(lengthBytes, 8 << 20) * share) / 512) * 512);
        return fc
          .array(historyCommands(clusterBytes, bytes, false), { minLength: 1, maxLength: 4 })
          .map((commands) => ({ lengthBytes: bytes, commands }));
      });
      return fc.record({
        lengthBytes: fc.constant(lengthBytes),
        clusterBytes: fc.constant(clusterBytes),
        create: fc.constant(create),
        backing: isOverlay ? backing : fc.constant(null),
        history: fc.array(historyCommands(clusterBytes, lengthBytes, compresses), { maxLength: 6 }),
        aborts: fc.nat(3).map((n) => n === 0),
      });
    });
  });
}

/** The command lines that make the image. */
function makingOf({ driver, secret, backingDriver = 'raw' }: Format, content: FormatContent): string[][] {
  const { create, backing, history, aborts, lengthBytes } = content;
  const lines: string[][] = [];
  const perform = (words: readonly string[], file: string, commands: readonly string[]) =>
    lines.push(['qemu-io', ...words, ...commands.flatMap((command) => ['-c', command]), file]);
  const object = secret === undefined ? [] : ['--object', secret.definition];
  if (backing !== null) {
    lines.push(['qemu-img', 'create', '-q', '-f', backingDriver, 'base.img', String(backing.lengthBytes)]);
    perform(['-f', backingDriver], 'base.img', backing.commands);
  }
  const over = backing === null ? [] : ['-b', 'base.img', '-F', backingDriver];
  const options = Object.entries(create).map(([key, value]) => `${key}=${value}`);
  const given = options.length === 0 ? [] : ['-o', options.join(',')];
  const words = ['-f', driver, ...given, ...over, 'disk.img', String(lengthBytes)];
  lines.push(['qemu-img', 'create', '-q', ...object, ...words]);
  if (history.length === 0) return lines;
  const commands = aborts ? [...history, 'abort'] : history;
  if (secret === undefined) perform(['-f', driver], 'disk.img', commands);
  else perform([...object, '--image-opts'], optionString(driver, secret, 'disk.img'), commands);
  return lines;
}

function kindOf(format: Format): ImageKind<FormatContent> {
  return {
    name: format.name,
    driver: format.driver,
    ...(format.secret === undefined ? {} : { secret: format.secret }),
    alignBytes: 512,
    image: contentOf(format),
    async create(sandbox, made) {
      for (const [command = '', ...args] of makingOf(format, made)) {
        const { stderr, exit } = await runProgram({ command, args: [] }, args, { cwd: sandbox.folder });
        if (args[0] === 'create' && exit !== '0') throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
      }
    },
    describe: (made) =>
      makingOf(format, made)
        .map((words) => words.map((word) => (word.includes(' ') ? `'${word}'` : word)).join(' '))
        .join('\n'),
    clusterBytes: ({ clusterBytes }) => clusterBytes,
    hasOpenOrder: () => false,
    options: fc.record({ 'detect-zeroes': inPercent(30, fc.constantFrom('on', 'off', 'unmap')) }).map(present),
    switches: fc.constant([]),
    events: format.events,
    script: scriptOver(format.scenes, format.twoAllocate),
  };
}

const inPlace: Scene = {
  prepare: ['write'],
  request: 'aio_write',
  part: 'middle',
  events: ['write_aio', 'pwritev', 'pwritev_done'],
  unlocked: ['write_aio', 'pwritev', 'pwritev_done'],
};
const reading: Scene = {
  prepare: ['write'],
  request: 'aio_read',
  part: 'middle',
  events: ['read_aio'],
  unlocked: ['read_aio'],
};

export const qedKind = kindOf({
  name: 'qed',
  driver: 'qed',
  geometry: fc
    .record({
      bits: fc.integer({ min: 12, max: 17 }),
      tableClusters: fc.constantFrom(2, 4, 8, 16),
      isOverlay: fc.boolean(),
    })
    .map(({ bits, tableClusters, isOverlay }) => ({
      create: { cluster_size: String(2 ** bits), table_size: String(tableClusters) },
      clusterBytes: 2 ** bits,
      isOverlay,
    })),
  compresses: false,
  events: [...rawKind.events, 'l1_update', 'l2_update', 'read_backing_aio', 'cow_write'],
  scenes: [inPlace, reading, { prepare: [], request: 'aio_write', part: 'middle', events: ['write_aio', 'pwritev'] }],
  // The second one waits until the first has ended.
  twoAllocate: false,
});

const qcowFormat: Format = {
  name: 'qcow',
  driver: 'qcow',
  // Without a backing file clusters have 4 KiB, with one they have 512 bytes.
  geometry: fc.boolean().map((isOverlay) => ({ create: {}, clusterBytes: isOverlay ? 512 : 4096, isOverlay })),
  compresses: true,
  events: [
    ...rawKind.events,
    'l1_update',
    'l2_update',
    'l2_update_compressed',
    'cluster_alloc',
    'read_backing_aio',
    'read_compressed',
    'write_compressed',
  ],
  scenes: [inPlace, reading, { prepare: [], request: 'aio_write', part: 'middle', events: ['write_aio', 'pwritev'] }],
  twoAllocate: true,
};

export const qcowKind = kindOf(qcowFormat);

export const encryptedQcowKind = kindOf({
  ...qcowFormat,
  name: 'encrypted-qcow',
  secret: { definition: SECRET, options: { 'encrypt.key-secret': 's' } },
  geometry: qcowFormat.geometry.map((made) => ({
    ...made,
    create: { 'encrypt.format': 'aes', 'encrypt.key-secret': 's' },
  })),
});

const GIB = 1_073_741_824;

/** The options of vmdk images, and the least length of disks with two extents. */
const vmdkGeometry = fc
  .record({
    subformat: fc.constantFrom(
      'monolithicSparse',
      'monolithicSparse',
      'monolithicFlat',
      'twoGbMaxExtentSparse',
      'twoGbMaxExtentFlat',
      'streamOptimized',
    ),
    isZeroed: fc.boolean(),
    isOverlay: fc.boolean(),
    isSplit: fc.boolean(),
  })
  .map(({ subformat, isZeroed, isOverlay, isSplit }) => {
    const isFlat = subformat.endsWith('Flat');
    return {
      create: { subformat, ...(isZeroed && !isFlat ? { zeroed_grain: 'on' } : {}) },
      clusterBytes: 65536,
      isOverlay: isOverlay && !isFlat,
      ...(isSplit && subformat.startsWith('twoGb') ? { leastBytes: 2 * GIB - 4 * 65536 } : {}),
    };
  });

const vmdkFormat: Format = {
  name: 'vmdk',
  driver: 'vmdk',
  backingDriver: 'vmdk',
  geometry: vmdkGeometry,
  compresses: true,
  events: [
    ...rawKind.events,
    'l2_load',
    'l2_update',
    'read_backing_aio',
    'cow_read',
    'cow_write',
    'read_compressed',
    'write_compressed',
  ],
  // A request holds the lock from its beginning to its end.
  scenes: [
    { ...inPlace, unlocked: [] },
    { ...reading, unlocked: [] },
    { prepare: [], request: 'aio_write', part: 'middle', events: ['write_aio', 'pwritev', 'pwritev_done'] },
  ],
  twoAllocate: false,
};

export const vmdkKind = kindOf(vmdkFormat);
