/**
 * Random commands for qcow2 images: places and lengths in clusters, subclusters, sectors and bytes.
 *
 * A request that is held at a breakpoint may hold the image's lock or the space that another one needs. Where it does
 * not reach its breakpoint, or another request waits for it for ever, the real program hangs and the case proves
 * nothing; so requests are prepared for the event that they are to be held at.
 */
import fc from 'fast-check';
import { type Context, line, type Unit, unit } from './unit.ts';

/** Something that depends on the image's geometry. */
type Measure = (context: Context) => number;

const place: fc.Arbitrary<Measure> = fc.oneof(
  { weight: 5, arbitrary: fc.nat(40).map((n) => (c: Context) => wrap(n, c) * c.clusterBytes) },
  {
    weight: 5,
    arbitrary: fc.tuple(fc.nat(40), fc.nat(10_000)).map(
      ([n, part]) =>
        (c: Context) =>
          wrap(n, c) * c.clusterBytes + (part % (c.clusterBytes / 512)) * 512,
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(fc.nat(40), fc.nat(31), fc.constantFrom(0, 0, -1, 1, -512, 512)).map(
      ([n, part, more]) =>
        (c: Context) =>
          Math.max(0, wrap(n, c) * c.clusterBytes + (part * c.clusterBytes) / 32 + more),
    ),
  },
  { weight: 2, arbitrary: fc.nat(1000).map((n) => (c: Context) => Math.floor((n / 1000) * c.lengthBytes)) },
  {
    weight: 2,
    arbitrary: fc.nat(1000).map((n) => (c: Context) => Math.floor(((n / 1000) * c.lengthBytes) / 512) * 512),
  },
  { weight: 2, arbitrary: fc.nat(200_000).map((n) => (c: Context) => Math.max(0, c.lengthBytes - n)) },
  { weight: 1, arbitrary: fc.nat(3_000_000).map((n) => () => n) },
);

/** Mostly a cluster within the image. */
function wrap(n: number, { lengthBytes, clusterBytes }: Context): number {
  const clusters = Math.ceil(lengthBytes / clusterBytes);
  return n === 40 ? n : n % clusters;
}

const extent: fc.Arbitrary<Measure> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .integer({ min: 1, max: 9 })
      .map((n) => (c: Context) => Math.max(1, Math.min(n, Math.floor(4_194_304 / c.clusterBytes))) * c.clusterBytes),
  },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 40 }).map((n) => (c: Context) => (n * c.clusterBytes) / 32) },
  { weight: 3, arbitrary: fc.nat(64).map((n) => () => n * 512) },
  { weight: 2, arbitrary: fc.nat(70_000).map((n) => () => n) },
  { weight: 1, arbitrary: fc.nat(16).map((n) => () => n) },
  { weight: 1, arbitrary: fc.nat(100).map((n) => () => n * 4096) },
);

interface Range {
  readonly place: Measure;
  readonly extent: Measure;
  /** Cut at the end of the image. */
  readonly fits: boolean;
}
const range: fc.Arbitrary<Range> = fc.record({ place, extent, fits: fc.nat(9).map((n) => n > 0) });
/** Whole clusters. */
const clusters: fc.Arbitrary<Range> = fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 6 })).map(([n, count]) => ({
  place: (c: Context) => wrap(n, c) * c.clusterBytes,
  extent: (c: Context) => Math.max(1, Math.min(count, Math.floor(4_194_304 / c.clusterBytes))) * c.clusterBytes,
  fits: true,
}));

function resolve(c: Context, { place: at, extent: long, fits }: Range): [number, number] {
  const from = Math.floor(at(c));
  const bytes = Math.floor(long(c));
  return [from, fits ? Math.max(0, Math.min(bytes, c.lengthBytes - from)) : bytes];
}
const text = (c: Context, where: Range) => resolve(c, where).join(' ');

const pattern = fc.oneof({ weight: 1, arbitrary: fc.constant(0) }, { weight: 4, arbitrary: fc.nat(255) });
const filled = (value: number | null) => (value === null ? '' : `-P ${value} `);

const read = fc
  .record({ where: range, check: fc.option(pattern, { freq: 2 }), flag: fc.constantFrom('', '', '-q ', '-C ') })
  .map(({ where, check, flag }) => unit((c) => [`read ${flag}${filled(check)}${text(c, where)}`]));
const dump = fc
  .record({ where: range, bytes: fc.integer({ min: 1, max: 600 }) })
  .map(({ where, bytes }) => unit((c) => [`read -v ${text(c, { ...where, extent: () => bytes })}`]));
const write = fc
  .record({
    flag: fc.constantFrom('', '', '', '-f ', '-q ', '-C '),
    value: fc.option(pattern),
    where: fc.oneof({ weight: 2, arbitrary: range }, clusters),
  })
  .map(({ flag, value, where }) => unit((c) => [`write ${flag}${filled(value)}${text(c, where)}`]));
const writeZeroes = fc
  .record({
    flag: fc.constantFrom('-z', '-z', '-zu', '-zu', '-zf', '-zn', '-zun', '-zq'),
    where: fc.oneof(range, clusters),
  })
  .map(({ flag, where }) => unit((c) => [`write ${flag} ${text(c, where)}`]));
/**
 * Mostly one cluster. The real program compresses several at the same time and puts them where they happen to end, so
 * that with rules the outcome would be open.
 */
const compressedRange: fc.Arbitrary<(context: Context) => Range> = fc
  .oneof({ weight: 3, arbitrary: clusters }, { weight: 1, arbitrary: range })
  .chain((where) =>
    fc.nat(3).map((n) => (c: Context) => {
      if (n > 0 || c.hasRules) return { ...where, extent: () => Math.min(where.extent(c), c.clusterBytes) };
      return where;
    }),
  );
const writeCompressed = fc
  .record({ value: fc.option(pattern), where: compressedRange })
  .map(({ value, where }) => unit((c) => [`write -c ${filled(value)}${text(c, where(c))}`]));
/** Data from a file, over and over. */
const writeFromFile = fc
  .record({ flag: fc.constantFrom('', '-c '), where: compressedRange })
  .map(({ flag, where }) => unit((c) => [`write ${flag}-s data.bin ${text(c, where(c))}`]));
const vector = fc
  .record({
    name: fc.constantFrom('readv', 'writev'),
    value: fc.option(pattern),
    place,
    extents: fc.array(extent, { minLength: 1, maxLength: 4 }),
  })
  .map(({ name, value, place: at, extents }) =>
    unit((c) => [
      `${name} ${filled(value)}${Math.floor(at(c))} ${extents.map((long) => Math.floor(long(c))).join(' ')}`,
    ]),
  );
const discard = fc
  .record({ flag: fc.constantFrom('', '', '-q ', '-C '), where: fc.oneof(range, clusters) })
  .map(({ flag, where }) => unit((c) => [`discard ${flag}${text(c, where)}`]));
const truncate = fc
  .record({
    mode: fc.constantFrom('', '', '-m off ', '-m falloc ', '-m full ', '-m metadata '),
    to: fc.oneof(
      fc.constantFrom(0.1, 0.5, 0.9, 1, 1.1, 1.5, 2.5).map((share) => (c: Context) => c.lengthBytes * share),
      fc.nat(60).map((n) => (c: Context) => Math.min(n, Math.floor(16_777_216 / c.clusterBytes)) * c.clusterBytes),
    ),
    byte: fc.nat(19).map((n) => n === 0),
  })
  .map(({ mode, to, byte }) =>
    unit((c) => {
      const length = byte ? Math.floor(to(c)) : Math.floor(to(c) / 512) * 512;
      // Space that is made for gigabytes takes its time.
      return [`truncate ${length > 33_554_432 ? '' : mode}${length}`];
    }, true),
  );
const alloc = range.map((where) => unit((c) => [`alloc ${text(c, where)}`]));
const vmState = fc
  .record({
    name: fc.constantFrom('read', 'write'),
    value: fc.option(pattern),
    at: fc.oneof(
      fc.nat(300).map((n) => n * 512),
      fc.nat(40_000),
    ),
    bytes: fc.oneof(
      fc.nat(100).map((n) => n * 512),
      fc.nat(30_000),
    ),
  })
  .map(({ name, value, at, bytes }) => line(`${name} -b ${filled(value)}${at} ${bytes}`));
const plain = fc
  .constantFrom('length', 'info', 'map', 'map', 'flush', 'flush', 'aio_flush', 'remove_break nothing', 'resume nothing')
  .map(line);
const reopen = fc
  .record({
    mode: fc.constantFrom('', '', ' -r', ' -w'),
    cache: fc.constantFrom('', '', ' -c writeback', ' -c writethrough', ' -c unsafe'),
    options: fc.constantFrom(
      '',
      '',
      ' -o lazy-refcounts=on',
      ' -o lazy-refcounts=off',
      ' -o l2-cache-size=512,l2-cache-entry-size=512',
      ' -o l2-cache-size=1M,refcount-cache-size=4096',
      ' -o cache-size=64k',
      ' -o overlap-check=all',
      ' -o overlap-check.template=none',
      ' -o pass-discard-request=off,pass-discard-other=on',
      ' -o detect-zeroes=on',
      ' -o x=y',
    ),
  })
  .map(({ mode, cache, options }) =>
    unit(({ canReopen }) => (canReopen ? [`reopen${mode}${cache}${options}`] : []), true),
  );
const closeAndOpen = fc
  .boolean()
  .map((readOnly) =>
    unit(({ openArguments }) => ['close', 'length', `open ${readOnly ? '-r ' : ''}${openArguments}`], true),
  );
const aio = fc
  .oneof(
    fc.record({ flag: fc.constantFrom('', '-q ', '-C '), value: fc.option(pattern, { freq: 2 }), where: range }).map(
      ({ flag, value, where }) =>
        (c: Context) =>
          `aio_read ${flag}${filled(value)}${text(c, where)}`,
    ),
    fc
      .record({ flag: fc.constantFrom('', '-f ', '-q '), value: fc.option(pattern), where: fc.oneof(range, clusters) })
      .map(
        ({ flag, value, where }) =>
          (c: Context) =>
            `aio_write ${flag}${filled(value)}${text(c, where)}`,
      ),
    fc.record({ flag: fc.constantFrom('-z', '-zu', '-zf'), where: fc.oneof(range, clusters) }).map(
      ({ flag, where }) =>
        (c: Context) =>
          `aio_write ${flag} ${text(c, where)}`,
    ),
  )
  .map((command) => unit((c) => [command(c), 'aio_flush']));

/** Brings one cluster into a state from which a request on it fires certain events. */
export interface Scene {
  readonly prepare: readonly ('discard' | 'write' | 'write -c' | 'write -z')[];
  readonly request: 'aio_read' | 'aio_write' | 'aio_write -z' | 'aio_write -zu';
  readonly part: 'whole' | 'head' | 'middle';
  readonly events: readonly string[];
  /** While it is held there, others may use the image. */
  readonly unlocked?: readonly string[];
}

const scenes: readonly Scene[] = [
  {
    prepare: ['discard'],
    request: 'aio_write',
    part: 'whole',
    events: ['write_aio', 'pwritev', 'pwritev_done', 'cluster_alloc', 'refblock_alloc', 'refblock_load'],
    unlocked: ['write_aio'],
  },
  {
    prepare: ['discard'],
    request: 'aio_write',
    part: 'middle',
    events: ['write_aio', 'cluster_alloc', 'pwritev_done'],
    unlocked: ['write_aio'],
  },
  {
    prepare: ['write -c'],
    request: 'aio_write',
    part: 'head',
    events: ['cow_read', 'read_compressed', 'write_aio', 'cow_write', 'cluster_free', 'cluster_alloc'],
    unlocked: ['cow_read', 'read_compressed', 'write_aio', 'cow_write'],
  },
  {
    prepare: ['write'],
    request: 'aio_write',
    part: 'middle',
    events: ['write_aio', 'pwritev', 'pwritev_done'],
    unlocked: ['write_aio', 'pwritev', 'pwritev_done'],
  },
  { prepare: ['write'], request: 'aio_read', part: 'middle', events: ['read_aio'], unlocked: ['read_aio'] },
  {
    prepare: ['write -c'],
    request: 'aio_read',
    part: 'middle',
    events: ['read_compressed'],
    unlocked: ['read_compressed'],
  },
  { prepare: ['write'], request: 'aio_write -zu', part: 'whole', events: ['cluster_free', 'refblock_alloc'] },
  {
    prepare: ['write -z'],
    request: 'aio_write',
    part: 'middle',
    events: ['write_aio', 'pwritev'],
    unlocked: ['write_aio'],
  },
];

/** A command that goes on while a request is held: any on another cluster, a read also on the same one. */
function besides(
  c: Context,
  { command, cluster }: { readonly command: string; readonly cluster: number },
  held: number,
): string[] {
  if (command === 'flush') return [command];
  const other = wrap(cluster % 40, c) * c.clusterBytes;
  const isRead = command.startsWith('read');
  if (other === held && !isRead) return [];
  return [`${command} ${other} ${Math.min(command === 'read -v' ? 64 : c.clusterBytes, c.lengthBytes - other)}`];
}

const heldIn = (choices: readonly Scene[]) =>
  fc
    .record({
      scene: fc.constantFrom(...choices),
      event: fc.nat(10),
      cluster: fc.nat(40),
      value: fc.integer({ min: 1, max: 255 }),
      beside: fc.option(
        fc.record({
          command: fc.constantFrom('read -v', 'read -q', 'write -P 5', 'write -z', 'write -zu', 'discard', 'flush'),
          cluster: fc.nat(40),
        }),
      ),
      second: fc.option(
        fc.record({
          command: fc.constantFrom('aio_write -q -P 7', 'aio_read -q', 'aio_write -q -z', 'aio_write -q -zu'),
          step: fc.nat(3),
          whole: fc.boolean(),
        }),
      ),
      remove: fc.boolean(),
    })
    .map(({ scene, event: choice, cluster, value, beside, second, remove }) =>
      unit((c) => {
        if (!c.canForceOrder) return [];
        const event = scene.events[choice % scene.events.length] ?? 'none';
        const start = wrap(cluster % 40, c) * c.clusterBytes;
        const size = Math.min(c.clusterBytes, c.lengthBytes - start);
        const step = Math.max(512, Math.min(c.alignBytes, size));
        const eighth = Math.max(step, Math.floor(size / 8 / step) * step);
        const [from, bytes] =
          scene.part === 'whole' || size < 3 * step
            ? [start, size]
            : [scene.part === 'head' ? start : start + eighth, eighth];
        const isOpen = scene.unlocked?.includes(event) === true;
        const [verb = '', ...flags] = scene.request.split(' ');
        const fill = verb === 'aio_write' && flags.length === 0 ? ['-P', String(value)] : [];
        const lines = scene.prepare.map(
          (word) => `${word} ${word === 'discard' || word === 'write -z' ? '' : '-P 99 '}${start} ${size}`,
        );
        lines.push(`break ${event} A`, [verb, '-q', ...flags, ...fill, from, bytes].join(' '), 'wait_break A');
        if (isOpen && beside !== null) lines.push(...besides(c, beside, start));
        // Overlaps the one that is held, and ends after it.
        if (isOpen && second !== null && scene.request === 'aio_write') {
          const at = from + second.step * step < start + size ? from + second.step * step : from;
          lines.push(`${second.command} ${second.whole ? `${start} ${size}` : `${at} ${step}`}`);
        }
        lines.push(remove ? 'remove_break A' : 'resume A', 'aio_flush', 'remove_break A');
        return lines;
      }),
    );

/** Two requests to different clusters, held behind the allocation of their space and ended in a forced order. */
const twoHeld = fc
  .record({ first: fc.nat(40), more: fc.integer({ min: 1, max: 3 }), fresh: fc.boolean(), swap: fc.boolean() })
  .map(({ first, more, fresh, swap }) =>
    unit((c) => {
      if (!c.canForceOrder || c.lengthBytes < 2 * c.clusterBytes) return [];
      const whole = Math.floor(c.lengthBytes / c.clusterBytes);
      const a = first % whole;
      const b = (a + more) % whole;
      if (a === b) return [];
      const [one, two] = swap ? ['B', 'A'] : ['A', 'B'];
      const at = (n: number) => `${n * c.clusterBytes} ${c.clusterBytes}`;
      return [
        ...(fresh ? [`discard ${at(a)}`, `discard ${at(b)}`] : []),
        'break write_aio A',
        `aio_write -q -P 17 ${at(a)}`,
        'wait_break A',
        'break write_aio B',
        `aio_write -q -P 18 ${at(b)}`,
        'wait_break B',
        'break pwritev_done D',
        `resume ${one}`,
        'wait_break D',
        'resume D',
        `resume ${two}`,
        'aio_flush',
      ];
    }),
  );

/** A breakpoint that is set and taken away again. */
const idleBreak = fc
  .constantFrom('write_aio', 'l2_load', 'cluster_alloc', 'none')
  .map((event) => unit(() => [`break ${event} I`, 'resume I', 'remove_break I', 'remove_break I']));

/** Scripts for a format: units in order. `twoAllocate`: two requests may take space at the same time. */
export function scriptOver(scenesOf: readonly Scene[], twoAllocate: boolean): fc.Arbitrary<readonly Unit[]> {
  return fc.array(
    fc.oneof(
      { weight: 6, arbitrary: read },
      { weight: 1, arbitrary: dump },
      { weight: 10, arbitrary: write },
      { weight: 5, arbitrary: writeZeroes },
      { weight: 5, arbitrary: writeCompressed },
      { weight: 1, arbitrary: writeFromFile },
      { weight: 2, arbitrary: vector },
      { weight: 5, arbitrary: discard },
      { weight: 2, arbitrary: truncate },
      { weight: 2, arbitrary: alloc },
      { weight: 2, arbitrary: vmState },
      { weight: 5, arbitrary: plain },
      { weight: 1, arbitrary: reopen },
      { weight: 1, arbitrary: closeAndOpen },
      { weight: 4, arbitrary: aio },
      { weight: 1, arbitrary: idleBreak },
      { weight: 3, arbitrary: heldIn(scenesOf) },
      { weight: twoAllocate ? 1 : 0, arbitrary: twoHeld },
    ),
    { minLength: 1, maxLength: 20, size: 'max' },
  );
}

/** Scripts for qcow2. */
export const script = scriptOver(scenes, true);

/** Whether compressed clusters are written side by side, so that their order in the file is not determined. */
export function hasOpenOrder(lines: readonly string[], clusterBytes: number): boolean {
  return lines.some((text) => {
    const bytes = /^write -c .* (\d+)$/.exec(text)?.[1];
    return bytes !== undefined && Number(bytes) > clusterBytes;
  });
}
