/** What random scripts have found to differ from the real program, and must not differ again. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

const blkscope = fileURLToPath(new URL('../../bin/blkscope.js', import.meta.url));

let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(path.join(tmpdir(), 'blkscope-finds-'));
});
afterEach(() => rmSync(cwd, { recursive: true }));

function qemuImg(...words: string[]): void {
  execFileSync('qemu-img', words, { cwd, stdio: 'ignore' });
}

it('an error that meets the dropping of old bitmaps leaks the tables of the one that was loaded last', () => {
  const rule = 'file.inject-error.0.event=cluster_alloc,file.inject-error.0.once=on,file.inject-error.0.iotype=read';
  const options = `driver=qcow2,file.driver=blkdebug,file.image.filename=disk.img,${rule}`;
  const [theirs, ours] = ['qemu-io', blkscope].map((program) => {
    qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=16384', 'disk.img', '640k');
    spawnSync('qemu-io', ['-f', 'qcow2', '-c', 'write -z 0 512', 'disk.img'], { cwd });
    for (const name of ['y', 'x']) qemuImg('bitmap', '--add', '-g', '512', 'disk.img', name);
    spawnSync(program, ['--image-opts', options, '-c', 'write -c -P 99 16k 16k'], { cwd });
    return readFileSync(path.join(cwd, 'disk.img'));
  });
  expect(ours?.equals(theirs ?? Buffer.alloc(0))).toBe(true);
  expect(spawnSync('qemu-img', ['check', 'disk.img'], { cwd, encoding: 'utf8' }).stderr).toContain('Leaked cluster');
});

it('a longer refcount table has what a damaged one had behind its blocks in the byte order of the host', () => {
  const BEYOND = 1n << 40n;
  const [theirs, ours] = ['qemu-io', blkscope].map((program) => {
    qemuImg('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=512', 'disk.img', '200k');
    const damaged = readFileSync(path.join(cwd, 'disk.img'));
    const table = Number(damaged.readBigUInt64BE(48));
    damaged.writeBigUInt64BE(BEYOND, table + 3 * 8);
    writeFileSync(path.join(cwd, 'disk.img'), damaged);
    spawnSync(program, ['-f', 'qcow2', '-c', 'truncate -m falloc 400k', 'disk.img'], { cwd });
    const image = readFileSync(path.join(cwd, 'disk.img'));
    expect(Number(image.readBigUInt64BE(48))).not.toBe(table);
    return image;
  });
  expect(ours?.equals(theirs ?? Buffer.alloc(0))).toBe(true);
});
