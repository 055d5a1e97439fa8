/** Images that qemu-img and qemu-io made, where they are installed: what no writer of ours would have thought of. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** @typedef {import('./qcow2-writer.js').ImageFile} ImageFile */

const img = (/** @type {string} */ words) => `qemu-img ${words}`;
const io = (/** @type {string[]} */ ...commands) =>
  `qemu-io -f qcow2 ${commands.map((line) => `-c '${line}'`).join(' ')} disk.img`;
const writes = io(
  'write -P 1 0 100k',
  'write -c -P 2 128k 64k',
  'write -z 192k 64k',
  'write -P 3 1M 4k',
  'discard 64k 64k',
);
const snapshots = [img('snapshot -c one disk.img'), io('write -P 4 0 64k'), img('snapshot -c two disk.img')];

/** How each is made, in an empty folder. @type {readonly string[][]} */
const recipes = [
  [img('create -q -f qcow2 disk.img 4M'), writes],
  [img('create -q -f qcow2 -o compat=0.10 disk.img 4M'), writes, ...snapshots],
  [
    img('create -q -f qcow2 -o cluster_size=512 disk.img 2M'),
    io('write -P 1 0 100k', 'write -c 128k 512', 'discard 0 10k'),
  ],
  [img('create -q -f qcow2 -o cluster_size=4k,refcount_bits=1 disk.img 4M'), writes],
  [img('create -q -f qcow2 -o cluster_size=2M disk.img 16M'), io('write -P 1 3M 64k')],
  [img('create -q -f qcow2 -o refcount_bits=64,cluster_size=4k disk.img 4M'), writes, ...snapshots],
  [img('create -q -f qcow2 -o compression_type=zstd disk.img 4M'), writes],
  [
    img('create -q -f qcow2 -o compression_type=zstd,cluster_size=4k disk.img 4M'),
    io('write -c -P 5 0 64k', 'write -c 64k 4k'),
  ],
  [img('create -q -f qcow2 -o extended_l2=on,cluster_size=64k disk.img 4M'), writes, ...snapshots],
  [img('create -q -f qcow2 -o extended_l2=on,cluster_size=16k disk.img 4M'), writes],
  [
    img('create -q -f qcow2 -o lazy_refcounts=on disk.img 4M'),
    `${writes.replace(' disk.img', '')} -c 'write 2M 64k' -c abort disk.img`,
  ],
  [img('create -q -f qcow2 -o data_file=data.raw disk.img 1M'), io('write -P 1 0 100k')],
  [
    img('create -q -f qcow2 -o data_file=data.raw,data_file_raw=on disk.img 1M'),
    io('write -P 1 0 100k', 'write -z 128k 64k'),
  ],
  [
    img('create -q -f qcow2 -o cluster_size=4k base.img 2M'),
    img('create -q -f qcow2 -o cluster_size=512 -b base.img -F qcow2 disk.img 1M'),
    io('write -P 1 0 10k', 'write -z 20k 5k'),
  ],
  [
    img('create -q -f raw base.img 100k'),
    img('create -q -f qcow2 -b base.img -F raw disk.img 1M'),
    io('write 70k 10k'),
  ],
  [
    img('create -q -f qcow2 disk.img 4M'),
    img('bitmap --add -g 4k disk.img a'),
    img('bitmap --add disk.img b'),
    writes,
    img('bitmap --disable disk.img b'),
  ],
  [img('create -q -f qcow2 -o cluster_size=512 disk.img 2M'), img('bitmap --add -g 512 disk.img a'), io('write 0 1M')],
  [img('create -q -f qcow2 -o preallocation=metadata disk.img 4M'), io('write 0 64k')],
  [img('create -q -f qcow2 disk.img 1T'), io('write 500G 64k', 'write 0 4k')],
  [img('create -q -f qcow2 --object secret,id=s,data=x -o encrypt.format=aes,encrypt.key-secret=s disk.img 1M')],
];

/** Makes them all; nothing without QEMU. @returns {ImageFile[][]} */
export function qemuImages() {
  const parent = mkdtempSync(path.join(tmpdir(), 'blkscope-fuzz-qemu-'));
  try {
    return recipes
      .map((recipe, index) => makeIn(mkdtempSync(path.join(parent, `${index}-`)), recipe))
      .filter((files) => files.length > 0);
  } finally {
    rmSync(parent, { recursive: true, force: true });
  }
}

/** @param {string} folder @param {readonly string[]} recipe @returns {ImageFile[]} */
function makeIn(folder, recipe) {
  for (const line of recipe) spawnSync('sh', ['-c', line], { cwd: folder, stdio: 'ignore' });
  if (!existsSync(path.join(folder, 'disk.img'))) return [];
  const names = ['disk.img', ...readdirSync(folder).filter((name) => name !== 'disk.img')];
  return names.map((name) => ({ name, data: readFileSync(path.join(folder, name)) }));
}
