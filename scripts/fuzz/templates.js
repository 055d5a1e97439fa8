/** Sound qcow2 images of many geometries, made once by qemu-img and qemu-io: what the damage starts from. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

const MiB = 2 ** 20;

/**
 * @typedef {object} Recipe
 * @property {string} create what `qemu-img create -o` is given
 * @property {number} bytes length of the disk
 * @property {string[]} [commands] for qemu-io
 * @property {string[][]} [afterwards] words for qemu-img, on `disk.img`
 * @property {string} [backing] file and format, separated by a space
 * @property {string[]} [files] others that belong to the image
 */

/** @typedef {{ name: string, folder: string, bytes: number, clusterBytes: number, image: Buffer, files: readonly string[] }} Template */

const writes = ['write -P 1 0 96k', 'write -P 2 300k 5k', 'write -z 512k 64k', 'discard 64k 16k'];
const snapshots = [
  ['snapshot', '-c', 'one'],
  ['snapshot', '-c', 'two'],
];

/** @type {Readonly<Record<string, Recipe>>} */
const recipes = {
  plain: { create: 'cluster_size=64k', bytes: 4 * MiB, commands: writes },
  old: { create: 'compat=0.10', bytes: 4 * MiB, commands: writes, afterwards: snapshots },
  'small clusters': { create: 'cluster_size=512', bytes: MiB, commands: writes, afterwards: snapshots },
  'one-bit refcounts': { create: 'cluster_size=4k,refcount_bits=1', bytes: 2 * MiB, commands: writes },
  'wide refcounts': { create: 'cluster_size=1k,refcount_bits=64', bytes: MiB, commands: writes, afterwards: snapshots },
  'large clusters': { create: 'cluster_size=1M', bytes: 8 * MiB, commands: writes },
  subclusters: { create: 'cluster_size=16k,extended_l2=on', bytes: 2 * MiB, commands: [...writes, 'write -P 3 1M 1k'] },
  zlib: {
    create: 'cluster_size=4k',
    bytes: MiB,
    commands: ['write -c -P 1 0 4k', 'write -c -P 2 4k 4k', 'write -c -P 3 64k 4k', ...writes.slice(1)],
    afterwards: snapshots,
  },
  zstd: {
    create: 'cluster_size=64k,compression_type=zstd',
    bytes: 2 * MiB,
    commands: ['write -c -P 1 0 64k', 'write -c -P 2 64k 64k', 'write -P 5 1M 3k'],
  },
  bitmaps: {
    create: 'cluster_size=4k',
    bytes: 4 * MiB,
    commands: writes,
    afterwards: [
      ['bitmap', '--add', 'disk.img', 'first'],
      ['bitmap', '--add', '--disable', '-g', '64k', 'disk.img', 'second'],
    ],
  },
  'data file': { create: 'data_file=data.raw', bytes: 2 * MiB, commands: writes, files: ['data.raw'] },
  'raw data file': {
    create: 'cluster_size=4k,data_file=data.raw,data_file_raw=on',
    bytes: 2 * MiB,
    commands: writes,
    files: ['data.raw'],
  },
  'over raw': { create: 'cluster_size=4k', bytes: 2 * MiB, commands: writes, backing: 'base.raw raw' },
  'over qcow2': { create: 'cluster_size=32k', bytes: 2 * MiB, commands: writes, backing: 'base.qcow2 qcow2' },
  dirty: { create: 'lazy_refcounts=on,cluster_size=2k', bytes: MiB, commands: [...writes, 'abort'] },
  'huge disk': { create: 'cluster_size=64k', bytes: 2 ** 38, commands: ['write 0 64k', 'write 128G 64k'] },
};

/** Makes them all below a folder. @param {string} parent @returns {Template[]} */
export function makeTemplates(parent) {
  return Object.entries(recipes).map(([name, recipe], index) => {
    const folder = path.join(parent, `template-${index}`);
    mkdirSync(folder);
    const { create, bytes, commands = [], afterwards = [], backing, files = [] } = recipe;
    const run = (/** @type {string} */ command, /** @type {readonly string[]} */ words) => {
      try {
        execFileSync(command, words, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
      } catch (error) {
        // What `abort` does is what was asked for.
        if (/** @type {{ signal?: string }} */ (error).signal !== 'SIGABRT') throw error;
      }
    };
    const bases = backing === undefined ? [] : ['base.raw', 'base.qcow2'];
    if (backing !== undefined) {
      run('qemu-img', ['create', '-q', '-f', 'raw', 'base.raw', String(MiB)]);
      run('qemu-img', ['create', '-q', '-f', 'qcow2', 'base.qcow2', String(3 * MiB)]);
      run('qemu-io', ['-f', 'raw', '-c', 'write -P 9 0 700k', 'base.raw']);
      run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 8 0 700k', 'base.qcow2']);
    }
    const [file = '', format = ''] = backing?.split(' ') ?? [];
    const over = backing === undefined ? [] : ['-b', file, '-F', format];
    run('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', create, ...over, 'disk.img', String(bytes)]);
    run('qemu-io', [
      '-t',
      'unsafe',
      '-d',
      'unmap',
      '-f',
      'qcow2',
      ...commands.flatMap((line) => ['-c', line]),
      'disk.img',
    ]);
    for (const words of afterwards) run('qemu-img', words.includes('disk.img') ? words : [...words, 'disk.img']);
    const image = readFileSync(path.join(folder, 'disk.img'));
    return { name, folder, bytes, clusterBytes: 1 << image.readUInt32BE(20), image, files: [...files, ...bases] };
  });
}
