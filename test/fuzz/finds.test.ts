/** Finds of the fuzzer, each as small as it could be made. */
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeQcow2 } from './qcow2-writer.js';
import { Random } from './random.js';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
});
afterEach(() => sandbox.remove());

/** An empty qcow2 image of one cluster of 64 KiB, whose backing file has this name. */
function writeImage(name: string, backing: string): void {
  const image = Buffer.alloc(4 * 65536);
  image.write('QFI\xfb', 'latin1');
  const fields = [2, 0, 512, backing.length, 16, 0, 65536, 0, 1, 0, 3 * 65536, 0, 65536, 1, 0];
  for (const [index, value] of fields.entries()) image.writeUInt32BE(value, 4 + 4 * index);
  image.write(backing, 512, 'latin1');
  image.writeBigUInt64BE(2n * 65536n, 65536);
  for (let cluster = 0; cluster < 4; cluster += 1) image.writeUInt16BE(1, 2 * 65536 + 2 * cluster);
  writeFileSync(sandbox.path(name), image);
}

it.each(['disk.img', './/./disk.img', 'blkdebug::disk.img'])(
  'an image that is its own backing file, as %s, is refused',
  async (backing) => {
    writeImage('disk.img', backing);
    const args = ['-r', '-f', 'qcow2', '-c', 'map', 'disk.img'];
    const { stderr, exit } = await runProgram(blkscope, args, { cwd: sandbox.folder });
    expect(stderr).toContain(": Could not open backing file: Backing file '");
    expect(stderr).toContain("disk.img' creates an infinite loop.\n");
    expect(exit).toBe('1');
  },
);

it.each([
  ['blkdebug::', `${'blkdebug::'.repeat(3000)}disk.img`],
  [
    'json:',
    `json:{"driver":"raw",${'"file":{"driver":"raw",'.repeat(900)}"file":{"driver":"null-co"}${'}'.repeat(901)}`,
  ],
])('hundreds of drivers one over the other are refused: %s', async (_, name) => {
  const { stderr } = await runProgram(blkscope, [], { cwd: sandbox.folder, stdin: `open ${name}\n` });
  expect(stderr).toMatch(/: More than 500 nodes, each over the next\n$/);
});

it('copy on read reads clusters of which only some subclusters are allocated', async () => {
  const EXTENDED_L2 = 16;
  const commands = Array.from({ length: 12 }, (_, cluster) => ['-c', `read -v ${cluster * 16384 + 3000} 9000`]).flat();
  const data = async (...switches: string[]): Promise<string> => {
    const args = [...switches, '-f', 'qcow2', ...commands, 'disk.img'];
    const { stdout, stderr } = await runProgram(blkscope, args, { cwd: sandbox.folder });
    expect(stderr).toBe('');
    return stdout.replaceAll(/^.* ops; .*$/gm, '');
  };
  for (let index = 0, tried = 0; tried < 3; index += 1) {
    const [disk, ...others] = makeQcow2(new Random(`subclusters ${index}`));
    if (disk === undefined || others.length > 0 || disk.data[79] !== EXTENDED_L2 || disk.data[23] !== 14) continue;
    if (disk.data.readBigUInt64BE(24) < 12n * 16384n) continue;
    tried += 1;
    writeFileSync(sandbox.path('disk.img'), disk.data);
    const plain = await data('-r');
    expect(await data('-C')).toBe(plain);
  }
});

it('a name with a NUL is one that no file has', async () => {
  const stdin = 'open json:{"driver":"raw","file":{"driver":"file","filename":"a\\u0000b"}}\n';
  const { stderr } = await runProgram(blkscope, [], { cwd: sandbox.folder, stdin });
  expect(stderr).toMatch(/: Could not open 'a\S+b': No such file or directory\n$/);
});
