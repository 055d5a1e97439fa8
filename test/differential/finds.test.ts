/** What random scripts have found to differ from the real program, and must not differ again. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
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
