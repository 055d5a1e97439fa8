/** Differences from the real program that random scripts have found, and that must not come back. */
import { writeFileSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { blkscope, type Outcome, type Program, qemuIo, runProgram } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';

const qemuImg: Program = { command: 'qemu-img', args: [] };

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(() => sandbox.remove());

function run(program: Program, ...args: string[]): Promise<Outcome> {
  return runProgram(program, args, { cwd: sandbox.folder });
}

async function prepare(...args: string[]): Promise<void> {
  expect(await run(qemuImg, ...args)).toMatchObject({ exit: '0' });
}

/** Expects `disk.img` to be the same after `work` with each of the two programs. */
async function expectSameImage(work: (program: Program) => Promise<void>): Promise<void> {
  const images: Buffer[] = [];
  for (const program of [qemuIo, blkscope]) {
    await work(program);
    images.push(readFileSync(sandbox.path('disk.img')));
  }
  const [theirs, ours] = images;
  expect(ours?.equals(theirs ?? Buffer.alloc(0))).toBe(true);
}

it('an error that meets the dropping of old bitmaps leaks the tables of the one that was loaded last', async () => {
  const rule = 'file.inject-error.0.event=cluster_alloc,file.inject-error.0.once=on,file.inject-error.0.iotype=read';
  const options = `driver=qcow2,file.driver=blkdebug,file.image.filename=disk.img,${rule}`;
  await expectSameImage(async (program) => {
    await prepare('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=16384', 'disk.img', '640k');
    await run(qemuIo, '-f', 'qcow2', '-c', 'write -z 0 512', 'disk.img');
    for (const name of ['y', 'x']) await prepare('bitmap', '--add', '-g', '512', 'disk.img', name);
    await run(program, '--image-opts', options, '-c', 'write -c -P 99 16k 16k');
  });
  expect((await run(qemuImg, 'check', 'disk.img')).stderr).toContain('Leaked cluster');
});

it('a longer refcount table has what a damaged one had behind its blocks in the byte order of the host', async () => {
  const BEYOND = 1n << 40n;
  await expectSameImage(async (program) => {
    await prepare('create', '-q', '-f', 'qcow2', '-o', 'cluster_size=512', 'disk.img', '200k');
    const damaged = readFileSync(sandbox.path('disk.img'));
    const table = damaged.readBigUInt64BE(48);
    damaged.writeBigUInt64BE(BEYOND, Number(table) + 3 * 8);
    writeFileSync(sandbox.path('disk.img'), damaged);
    await run(program, '-f', 'qcow2', '-c', 'truncate -m falloc 400k', 'disk.img');
    expect(readFileSync(sandbox.path('disk.img')).readBigUInt64BE(48)).not.toBe(table);
  });
});
