/**
 * Random commands for raw images.
 *
 * Where requests overlap their order is forced: each waits at a breakpoint that it is sure to reach, and after the one
 * that is resumed has written (`pwritev_done`) nothing of it can happen any more.
 */
import fc from 'fast-check';
import { type Context, disturbing, line, type Unit, unit } from './unit.ts';

/** Mostly within the image, sometimes at its end or beyond. */
const offset = fc.oneof(
  { weight: 6, arbitrary: fc.nat(40).map((n) => n * 4096) },
  { weight: 6, arbitrary: fc.nat(300).map((n) => n * 512) },
  { weight: 6, arbitrary: fc.nat(150_000) },
  { weight: 2, arbitrary: fc.nat(64) },
  { weight: 1, arbitrary: fc.nat(700_000) },
);
const length = fc.oneof(
  fc.nat(20).map((n) => n * 4096),
  fc.nat(64).map((n) => n * 512),
  fc.nat(70_000),
  fc.nat(16),
);
const pattern = fc.nat(255);
const flags = (choices: string) =>
  fc
    .subarray(choices.split(''), { maxLength: Math.min(3, choices.length) })
    .map((chosen) => (chosen.length > 0 ? `-${chosen.join('')} ` : ''));
/** Options of a write that go together; now and then any that there are. */
const writeFlags = (zero: readonly string[], data: readonly string[], any: string) =>
  fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...zero).map((flag) => ({ flag, zero: true })) },
    { weight: 8, arbitrary: fc.constantFrom(...data).map((flag) => ({ flag, zero: false })) },
    { weight: 1, arbitrary: flags(any).map((flag) => ({ flag, zero: false })) },
  );
const filled = (value: number | null) => (value === null ? '' : `-P ${value} `);
const number = (value: fc.Arbitrary<number>) =>
  fc.oneof(
    { weight: 40, arbitrary: value.map(String) },
    { weight: 4, arbitrary: value.map((n) => `${Math.floor(n / 1024)}k`) },
    { weight: 2, arbitrary: value.map((n) => `0x${n.toString(16)}`) },
    { weight: 1, arbitrary: fc.constantFrom('-1', 'x', '1.5k', '2G', '9E', '0x', '') },
  );

const read = fc
  .tuple(
    flags('vqC'),
    fc.option(fc.tuple(pattern, fc.option(fc.tuple(fc.nat(5000), fc.nat(5000)), { freq: 2 })), { freq: 2 }),
    number(offset),
    number(fc.oneof(fc.nat(600), length)),
  )
  .map(([flag, check, from, bytes]) => {
    // A dump of all bytes is long; a short one shows as much.
    const shown = flag.includes('v') && Number(bytes) > 2000 ? flag.replace('v', '').replace(/^- $/, '') : flag;
    const verify =
      check === null ? '' : `-P ${check[0]} ${check[1] === null ? '' : `-s ${check[1][0]} -l ${check[1][1]} `}`;
    return line(`read ${shown}${verify}${from} ${bytes}`);
  });
const write = fc
  .tuple(
    writeFlags(['-z ', '-zu ', '-zf ', '-zn ', '-zun ', '-zq '], ['', '', '-f ', '-q ', '-C '], 'fqCzun'),
    fc.option(pattern),
    number(offset),
    number(length),
  )
  .map(([{ flag, zero }, value, from, bytes]) => line(`write ${flag}${zero ? '' : filled(value)}${from} ${bytes}`));
const writeFromFile = fc
  .tuple(number(offset), number(length))
  .map(([from, bytes]) => line(`write -s data.bin ${from} ${bytes}`));
const vector = fc
  .tuple(
    fc.constantFrom('readv', 'writev'),
    fc.option(pattern),
    number(offset),
    fc.array(number(length), { minLength: 1, maxLength: 4 }),
  )
  .map(([name, value, from, lengths]) =>
    line(`${name} ${value === null ? '' : `-P ${value} `}${from} ${lengths.join(' ')}`),
  );
const discard = fc
  .tuple(flags('qC'), number(offset), number(length))
  .map(([flag, from, bytes]) => line(`discard ${flag}${from} ${bytes}`));
const truncate = fc
  .tuple(
    fc.constantFrom('', '-m off ', '-m falloc ', '-m full ', '-m metadata ', '-m x '),
    number(
      fc.oneof(
        fc.nat(600_000),
        fc.nat(1200).map((n) => n * 512),
      ),
    ),
  )
  .map(([mode, to]) => disturbing(`truncate ${mode}${to}`));
const alloc = fc
  .tuple(number(offset), fc.option(number(length)))
  .map(([from, bytes]) => line(`alloc ${from}${bytes === null ? '' : ` ${bytes}`}`));
const plain = fc
  .constantFrom(
    'length',
    'info',
    'map',
    'flush',
    'aio_flush',
    'remove_break nothing',
    'resume nothing',
    'break nonsense x',
    'write -c 0 512',
    'read -b 0 512',
    'l',
    'frobnicate',
  )
  .map(line);
const reopen = fc
  .tuple(fc.constantFrom('', ' -r', ' -w'), fc.constantFrom('', ' -c writeback', ' -c writethrough', ' -c unsafe'))
  .map(([mode, cache]) => disturbing(`reopen${mode}${cache}`));
const closeAndOpen = fc
  .boolean()
  .map((readOnly) =>
    unit(({ openArguments }) => ['close', 'length', `open ${readOnly ? '-r ' : ''}${openArguments}`], true),
  );

const aio = fc
  .oneof(
    fc
      .tuple(
        flags('qCv'),
        fc.option(pattern),
        number(offset),
        fc.array(number(fc.nat(1500)), { minLength: 1, maxLength: 3 }),
      )
      .map(
        ([flag, value, from, lengths]) =>
          `aio_read ${flag}${value === null ? '' : `-P ${value} `}${from} ${lengths.join(' ')}`,
      ),
    fc
      .tuple(
        writeFlags(['-z ', '-zu ', '-zf ', '-zq '], ['', '', '-f ', '-q ', '-C '], 'qCfzu'),
        fc.option(pattern),
        number(offset),
        fc.array(number(length), { minLength: 1, maxLength: 3 }),
      )
      .map(([{ flag, zero }, value, from, lengths]) =>
        zero
          ? `aio_write ${flag}${from} ${lengths[0]}`
          : `aio_write ${flag}${filled(value)}${from} ${lengths.join(' ')}`,
      ),
  )
  .map((command) => unit(() => [command, 'aio_flush']));

/** A breakpoint that is set and taken away again. */
const idleBreak = fc
  .constantFrom('write_aio', 'pwritev', 'read_aio', 'flush_to_disk', 'none', 'l2_load')
  .map((event) => unit(() => [`break ${event} I`, 'resume I', 'remove_break I', 'remove_break I']));

const small = fc.tuple(fc.nat(15), fc.integer({ min: 1, max: 6 }), pattern);

function forced(context: Context, [from, blocks, value]: readonly [number, number, number]): string {
  const block = Math.max(context.alignBytes, 512);
  const bytes = Math.min(
    blocks * block,
    Math.max(block, context.transferMaxBytes - (context.transferMaxBytes % block)),
  );
  return `aio_write -q -P ${value} ${from * block} ${bytes}`;
}

/** One request held at a breakpoint, looked at from beside, and resumed or freed by `remove_break`. */
const oneSuspended = fc
  .record({
    event: fc.constantFrom('write_aio', 'pwritev', 'pwritev_done'),
    request: small,
    beside: fc.option(fc.tuple(fc.nat(16), fc.integer({ min: 1, max: 8 }))),
    remove: fc.boolean(),
  })
  .map(({ event, request, beside, remove }) =>
    unit((context) => {
      if (!context.canForceOrder) return [];
      const look = beside === null ? [] : [`read -v ${beside[0] * 512} ${beside[1] * 16}`];
      return [
        `break ${event} A`,
        forced(context, request),
        'wait_break A',
        ...look,
        remove ? 'remove_break A' : 'resume A',
        'aio_flush',
        'remove_break A',
      ];
    }),
  );

/** Two requests, perhaps overlapping, that write in a forced order. */
const twoSuspended = fc
  .record({ first: small, second: small, secondFirst: fc.boolean(), look: fc.boolean(), sameTag: fc.boolean() })
  .map(({ first, second, secondFirst, look, sameTag }) =>
    unit((context) => {
      if (!context.canForceOrder) return [];
      const [a, b] = sameTag ? ['A', 'A'] : ['A', 'B'];
      const order = secondFirst || sameTag ? [b, a] : [a, b];
      return [
        `break write_aio ${a}`,
        forced(context, first),
        `wait_break ${a}`,
        `break write_aio ${b}`,
        forced(context, second),
        ...(sameTag ? [] : [`wait_break ${b}`]),
        'break pwritev_done D',
        `resume ${order[0]}`,
        'wait_break D',
        ...(look ? ['read -v 0 64'] : []),
        'resume D',
        `resume ${order[1]}`,
        'aio_flush',
      ];
    }),
  );

/** A script: units in order. */
export const script: fc.Arbitrary<readonly Unit[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: read },
    { weight: 8, arbitrary: write },
    { weight: 1, arbitrary: writeFromFile },
    { weight: 3, arbitrary: vector },
    { weight: 3, arbitrary: discard },
    { weight: 2, arbitrary: truncate },
    { weight: 2, arbitrary: alloc },
    { weight: 4, arbitrary: plain },
    { weight: 1, arbitrary: reopen },
    { weight: 1, arbitrary: closeAndOpen },
    { weight: 4, arbitrary: aio },
    { weight: 1, arbitrary: idleBreak },
    { weight: 3, arbitrary: oneSuspended },
    { weight: 3, arbitrary: twoSuspended },
  ),
  { minLength: 1, maxLength: 20, size: 'max' },
);
