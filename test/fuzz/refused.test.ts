/** A refused option, name or image changes nothing. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeQcow2 } from './qcow2-writer.js';
import { Random } from './random.js';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = new Sandbox();
  sandbox.image('disk.raw', 1 << 20);
  sandbox.fill('disk.raw', 4096, 8192, 0x5a);
  writeFileSync(sandbox.path('disk.qcow2'), soundImage());
});
afterEach(() => sandbox.remove());

/** Without anything that has to be changed when the image is opened. */
function soundImage(): Buffer {
  for (let index = 0; ; index += 1) {
    const [disk, ...others] = makeQcow2(new Random(`refused ${index}`));
    if (disk === undefined) throw new Error('no image');
    const isVersion3 = disk.data.readUInt32BE(4) === 3;
    if (others.length === 0 && isVersion3 && disk.data.subarray(72, 96).every((byte) => byte === 0)) return disk.data;
  }
}

const refused = [
  'write 1T 512',
  'write 0',
  'write x 512',
  'write 0 x',
  'write -1 512',
  'write 0 -1',
  'write 0 3G',
  'write -P 0 0',
  'write -P x 0 512',
  'write -z -P 1 0 512',
  'write -n 0 512',
  'write -u 0 512',
  'write -s missing 0 512',
  'write -y 0 512',
  'writev 1T 512',
  'writev 0 x',
  'aio_write 1T 512',
  'aio_write -z 0 512 512',
  'aio_write x 512',
  'discard 1T 512',
  'discard 0 x',
  'discard 0',
  'truncate x',
  'truncate -1',
  'truncate -m nonsense 2M',
  'truncate 8E',
  'reopen -r -w',
  'reopen -o nonsense=on',
  'open missing',
  'nonsense',
];
const writes = ['write 0 512', 'write -z 0 512', 'writev 0 512', 'discard 0 512', 'truncate 2M'];

describe.each(['raw', 'qcow2'])('%s', (format) => {
  async function outputOf(commands: readonly string[], ...switches: string[]): Promise<string> {
    const args = [...switches, '-f', format, ...commands.flatMap((command) => ['-c', command]), `disk.${format}`];
    const { stdout, stderr, exit } = await runProgram(blkscope, args, { cwd: sandbox.folder });
    expect(exit).toBe('1');
    return stdout + stderr;
  }

  function stateOf(): { bytes: Buffer; mtimeNs: bigint } {
    const file = sandbox.path(`disk.${format}`);
    return { bytes: readFileSync(file), mtimeNs: statSync(file, { bigint: true }).mtimeNs };
  }

  it('refused commands leave the image as it was', async () => {
    const before = stateOf();
    expect(await outputOf(refused)).not.toMatch(/wrote|ops;/);
    expect(stateOf()).toEqual(before);
  });

  it('an image that is open for reading only is never written to', async () => {
    const before = stateOf();
    expect(await outputOf([...writes, 'read 0 512', 'flush', 'reopen', 'write 0 512'], '-r')).not.toMatch(/wrote/);
    expect(stateOf()).toEqual(before);
  });
});
