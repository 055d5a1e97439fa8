/** The temporary overlay of `-s`: written to in place of the image, and gone afterwards. */
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { emptyImage, makeTemporaryOverlay } from '../../../src/drivers/qcow2/temporary-overlay.ts';
import { blkscope, runProgram } from '../../helpers/run-program.ts';
import { useEmptyFolder } from '../../helpers/sandbox.ts';

const CLUSTER = 65536;
const cwd = useEmptyFolder();

describe('the overlay of snapshot mode', () => {
  it('counts each of its clusters once and maps nothing', () => {
    const image = emptyImage(1024 ** 4 + 1);
    expect(image.readBigUInt64BE(24)).toBe(BigInt(1024 ** 4 + 1));
    expect(image.readUInt32BE(36)).toBe(2049);
    const refcounts = Array.from({ length: 6 }, (_, cluster) => image.readUInt16BE(2 * CLUSTER + 2 * cluster));
    expect(refcounts).toEqual([1, 1, 1, 1, 0, 0]);
    expect(image.length).toBe(4 * CLUSTER);
    expect(image.subarray(3 * CLUSTER).every((byte) => byte === 0)).toBe(true);
  });

  it('gives an L1 table of more than a cluster its clusters', () => {
    const image = emptyImage(8192 * 512 * 1024 ** 2 + 1);
    expect(image.readUInt32BE(36)).toBe(8193);
    expect(image.length).toBe(5 * CLUSTER);
    expect(image.readUInt16BE(2 * CLUSTER + 8)).toBe(1);
  });

  it('is refused for an image that qcow2 cannot cover', () => {
    expect(() => emptyImage(2 ** 52)).toThrow('too large for qcow2');
  });

  it('is a file of the user alone, until it is removed', async () => {
    const overlay = await makeTemporaryOverlay(CLUSTER);
    expect(statSync(overlay.filename).mode & 0o777).toBe(0o600);
    overlay.remove();
    expect(existsSync(overlay.filename)).toBe(false);
  });

  it('leaves nothing behind where the host takes a part of it and then no more', async () => {
    writeFileSync(path.join(cwd, 'disk.raw'), Buffer.alloc(65536));
    // 140 KiB is less than the four clusters of an overlay; the rest fails with EFBIG, once the signal is ignored.
    const limited = `trap '' XFSZ; ulimit -f 140; TMPDIR=. exec '${[blkscope.command, ...blkscope.args].join("' '")}' "$@"`;
    const program = { command: 'bash', args: ['-c', limited, 'blkscope'] };
    const { stderr, exit } = await runProgram(program, ['-f', 'raw', '-s', '-c', 'read 0 4k', 'disk.raw'], { cwd });
    expect(stderr).toMatch(/can't open device disk.raw: Could not create temporary overlay '[^']*': File too large\n$/);
    expect(exit).toBe('1');
    expect(readdirSync(cwd)).toEqual(['disk.raw']);
  });
});
