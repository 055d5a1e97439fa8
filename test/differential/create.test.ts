/** `create` beside `qemu-img create`: the same words, and the same bytes of every file but for content ids of vmdk. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withoutContentId } from '../helpers/content-id.ts';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';
import { makeVmdk } from '../helpers/vmdk-images.js';

const cases = Number(process.env.CASES ?? 60);
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));

interface Made {
  readonly said: string;
  readonly exit: string;
  readonly files: readonly (readonly [string, Buffer])[];
}

/** Makes the files that every case finds in its folder. */
async function prepare({ folder }: Sandbox): Promise<void> {
  writeFileSync(path.join(folder, 'base.raw'), Buffer.alloc(200_000, 7));
  writeFileSync(path.join(folder, 'old.img'), Buffer.alloc(100_000, 9));
  await runProgram({ command: 'qemu-img', args: [] }, ['create', '-q', '-f', 'qcow2', 'base.qcow2', '3M'], {
    cwd: folder,
  });
  writeFileSync(path.join(folder, 'base.vmdk'), makeVmdk({ lengthBytes: 3 << 20 }));
}

async function make(ours: boolean, words: readonly string[]): Promise<Made> {
  const sandbox = new Sandbox();
  try {
    await prepare(sandbox);
    const { folder } = sandbox;
    const program = ours ? blkscope : { command: 'qemu-img', args: [] };
    const args = ours ? ['-c', ['create', ...words].join(' ')] : ['create', ...words];
    const { stdout, stderr, exit } = await runProgram(program, args, { cwd: folder });
    return {
      said: `${stdout}${stderr}`.replaceAll(/^qemu-(io|img): /gm, 'PROGRAM: ').trimEnd(),
      exit,
      files: readdirSync(folder)
        .toSorted()
        .map((name) => [name, withoutContentId(readFileSync(path.join(folder, name)))] as const),
    };
  } finally {
    sandbox.remove();
  }
}

async function expectSame(words: readonly string[]): Promise<void> {
  const [theirs, ours] = [await make(false, words), await make(true, words)];
  expect(ours.said).toBe(theirs.said);
  expect(ours.exit).toBe(theirs.exit);
  expect(ours.files.map(([name, bytes]) => [name, bytes.length])).toEqual(
    theirs.files.map(([name, bytes]) => [name, bytes.length]),
  );
  for (const [index, [name, bytes]] of ours.files.entries()) {
    const other = theirs.files[index]?.[1] ?? Buffer.alloc(0);
    const at = bytes.findIndex((byte, offset) => byte !== other[offset]);
    expect(at, `${name} differs at ${at}`).toBe(-1);
  }
}

const fixed = [
  'new.img 1M',
  '-f raw new.img 1000',
  '-f raw old.img 1M',
  '-f raw -o preallocation=full new.img 100k',
  '-f raw -o preallocation=falloc,nocow=on,extent_size_hint=1M new.img 100k',
  '-f raw -o preallocation=metadata new.img 100k',
  '-f raw -o preallocation=foo new.img 100k',
  '-f raw -b base.raw -F raw new.img',
  '-f raw -F raw new.img 1M',
  '-f raw -o size=1M new.img',
  '-f raw -o cluster_size=64k new.img 1M',
  '-f raw new.img 8E',
  '-f raw new.img 7E',
  '-f raw new.img 1x',
  '-f raw new.img',
  '-f raw nowhere/new.img 1M',
  '-f raw . 1M',
  '-f raw file:new.img 1M',
  '-f nothing new.img 1M',
  '-f blkdebug new.img 1M',
  '-f file new.img 1M',
  '-f qcow2 old.img 1M',
  '-f qcow2 -o compat=0.9 old.img 1M',
  '-f qcow2 -q new.img 1M',
  '-f qcow2 new.img 0',
  '-f qcow2 new.img 1000',
  '-f qcow2 new.img 100P',
  '-f qcow2 -o cluster_size=512 new.img 1T',
  '-f qcow2 -o cluster_size=512 new.img 10G',
  '-f qcow2 new.img',
  '-f qcow2 -o size=2M new.img 1M',
  '-f qcow2 -o lazy_refcounts new.img 1M',
  '-f qcow2 -o nolazy_refcounts new.img 1M',
  '-f qcow2 -o lazy_refcounts=maybe new.img 1M',
  '-f qcow2 -o lazy_refcounts=on -o compat=0.10 new.img 1M',
  '-f qcow2 -o refcount_bits=-1 new.img 1M',
  '-f qcow2 -o refcount_bits=3 new.img 1M',
  '-f qcow2 -o refcount_bits=0 new.img 1M',
  '-f qcow2 -o refcount_bits=8,compat=v2 new.img 1M',
  '-f qcow2 -o cluster_size=0 new.img 1M',
  '-f qcow2 -o cluster_size=3k new.img 1M',
  '-f qcow2 -o cluster_size=4M new.img 1M',
  '-f qcow2 -o cluster_size=x new.img 1M',
  '-f qcow2 -o foo=1 new.img 1M',
  '-f qcow2 -o ,, new.img 1M',
  '-f qcow2 -o cluster_size=64k, new.img 1M',
  '-f qcow2 -o compression_type=lz4 new.img 1M',
  '-f qcow2 -o compression_type=zstd,compat=0.10 new.img 1M',
  '-f qcow2 -o extended_l2=on,cluster_size=8k new.img 1M',
  '-f qcow2 -o extended_l2=on,compat=0.10 new.img 1M',
  '-f qcow2 -o data_file=data,,1 new.img 1M',
  '-f qcow2 -o data_file=data,data_file_raw=on new.img 1M',
  '-f qcow2 -o data_file_raw=on new.img 1M',
  '-f qcow2 -o data_file=data,compat=0.10 new.img 1M',
  '-f qcow2 -o data_file=nowhere/data new.img 1M',
  '-f qcow2 -o data_file=data,preallocation=full new.img 1M',
  '-f qcow2 -b base.raw -F raw new.img',
  '-f qcow2 -b base.raw new.img',
  '-f qcow2 -b base.qcow2 new.img',
  '-f qcow2 -b base.qcow2 -F qcow2 new.img',
  '-f qcow2 -b base.qcow2 -F qcow2 new.img 5M',
  '-f qcow2 -b base.qcow2 -F raw -o cluster_size=512 new.img 64k',
  '-f qcow2 -o backing_file=base.qcow2,backing_fmt=qcow2 new.img',
  '-f qcow2 -b nothing -F raw new.img',
  '-f qcow2 -b nothing -F raw new.img 1M',
  '-f qcow2 -u -b nothing -F raw new.img 1M',
  '-f qcow2 -u -b nothing new.img 1M',
  '-f qcow2 -u -b nothing -F raw new.img',
  '-f qcow2 -b base.raw -F nothing new.img',
  '-f qcow2 -F nothing new.img 1M',
  '-f qcow2 -F raw new.img 1M',
  '-f qcow2 -b base.qcow2 -F qcow2 base.qcow2',
  '-f qcow2 -b base.qcow2 -F qcow2 -o preallocation=metadata new.img',
  '-f qcow2 -b base.qcow2 -F qcow2 -o preallocation=metadata,extended_l2=on new.img',
  '-f qcow2 -b base.raw -F raw -o data_file=data,data_file_raw=on new.img',
  ...['monolithicSparse', 'monolithicFlat', 'twoGbMaxExtentSparse', 'twoGbMaxExtentFlat', 'streamOptimized'].flatMap(
    (subformat) =>
      [
        'new.vmdk 0',
        'new.vmdk 1000',
        'new.vmdk 100M',
        // Node reads files below 2 GiB.
        `new.a.vmdk ${subformat.endsWith('Flat') ? '300M' : '2050M'}`,
        'new 1M',
        './new.vmdk 1M',
        '-b base.vmdk -F vmdk new.vmdk',
        '-b base.raw -F raw new.vmdk',
        '-u -b base.raw -F vmdk new.vmdk 1M',
        '-u -b nothing -F vmdk new.vmdk 1M',
        '-o zeroed_grain=on new.vmdk 1M',
        '-o adapter_type=lsilogic,compat6=on,toolsversion=77 new.vmdk 5M',
      ].map((rest) => `-f vmdk -o subformat=${subformat} ${rest}`),
  ),
  '-f vmdk new.vmdk',
  '-f vmdk new.vmdk 1T',
  '-f vmdk nowhere/new.vmdk 1M',
  '-f vmdk -o adapter_type=scsi new.vmdk 1M',
  '-f vmdk -o subformat=foo new.vmdk 1M',
  '-f vmdk -o compat6=on,hwversion=5 new.vmdk 1M',
  '-f vmdk -o hwversion=13 new.vmdk 1M',
  '-f vmdk -o compat6=maybe new.vmdk 1M',
  '-f vmdk -o preallocation=full new.vmdk 1M',
  `-f qcow2 -u -b ${'x'.repeat(1024)} -F raw new.img 1M`,
  `-f qcow2 -u -o cluster_size=512 -b ${'x'.repeat(400)} -F raw new.img 1M`,
];

const cluster = fc.integer({ min: 9, max: 21 }).map((bits) => 2 ** bits);
const maybe = (percent: number, name: string, value: fc.Arbitrary<string | number>): fc.Arbitrary<string[]> =>
  fc.tuple(fc.nat(99), value).map(([chance, text]) => (chance < percent ? [`${name}=${text}`] : []));

/** Options that may go together or not, of images that are small enough to be preallocated. */
const random = fc
  .record({
    options: fc
      .tuple(
        maybe(80, 'cluster_size', cluster),
        maybe(25, 'extended_l2', fc.constantFrom('on', 'off')),
        maybe(40, 'preallocation', fc.constantFrom('off', 'metadata', 'falloc', 'full')),
        maybe(30, 'compression_type', fc.constantFrom('zlib', 'zstd')),
        maybe(25, 'compat', fc.constantFrom('0.10', '1.1', 'v2', 'v3')),
        maybe(20, 'data_file', fc.constant('data')),
        maybe(20, 'data_file_raw', fc.constantFrom('on', 'off')),
        maybe(30, 'lazy_refcounts', fc.constantFrom('on', 'off')),
        maybe(60, 'refcount_bits', fc.constantFrom(1, 2, 4, 8, 16, 32, 64)),
      )
      .map((parts) => parts.flat()),
    size: fc.oneof(
      fc.nat(6 << 20),
      fc.nat(100).map((n) => n * 65536),
    ),
    backing: fc.constantFrom('', '', '-b base.qcow2 -F qcow2', '-b base.raw -F raw'),
  })
  .map(({ options, size, backing }) =>
    [
      '-f',
      'qcow2',
      ...(options.length === 0 ? [] : ['-o', options.join(',')]),
      ...backing.split(' '),
      'new.img',
      `${size}`,
    ].filter((word) => word !== ''),
  );

describe('create', () => {
  it.each(fixed)('%s', (line) => expectSame(line.split(' ')));

  it(`with random options, seed ${seed}`, { timeout: 60_000 + cases * 3000 }, async () => {
    await fc.assert(fc.asyncProperty(random, expectSame), { seed, numRuns: cases });
  });
});
