/**
 * Every way to leave an image with a breakpoint set: what was acknowledged is there afterwards, and the status is 0.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { useEmptyFolder } from '../helpers/sandbox.ts';

const cwd = useEmptyFolder();
const written = 'write -q -P 1 0 64k';

const ways: [string, readonly string[]][] = [
  ['quit', [written, 'break flush_to_disk A', 'quit']],
  ['the end of the input', [written, 'break pwritev A']],
  ['close', [written, 'break pwritev A', 'close', 'quit']],
  ['the opening of another image', [written, 'break pwritev A', 'close', 'open -o driver=qcow2 other.qcow2', 'quit']],
];

describe('a breakpoint that is still set at', () => {
  it.each(ways)('%s holds nothing back', async (_way, lines) => {
    for (const name of ['disk.qcow2', 'other.qcow2']) writeFileSync(path.join(cwd, name), makeImage());
    const args = ['-t', 'writeback', '-f', 'qcow2', 'blkdebug::disk.qcow2'];
    const left = await runProgram(blkscope, args, { cwd, stdin: `${lines.join('\n')}\n` });
    expect(left).toMatchObject({ stderr: '', exit: '0' });
    const read = await runProgram(blkscope, ['-r', '-f', 'qcow2', '-c', 'read -q -P 1 0 64k', 'disk.qcow2'], { cwd });
    expect(read).toEqual({ stdout: '', stderr: '', exit: '0' });
  });

  it('a reopen is set off by it; leaving then cancels the reopen alone', async () => {
    writeFileSync(path.join(cwd, 'disk.qcow2'), makeImage());
    const args = ['-t', 'writeback', '-f', 'qcow2', 'blkdebug::disk.qcow2'];
    const stdin = `${written}\nbreak pwritev A\nreopen\nquit\n`;
    const left = await runProgram(blkscope, args, { cwd, stdin });
    expect(left.stderr).toContain("cancelled: 'A': reopen");
    expect(left.exit).toBe('1');
    const read = await runProgram(blkscope, ['-r', '-f', 'qcow2', '-c', 'read -q -P 1 0 64k', 'disk.qcow2'], { cwd });
    expect(read).toEqual({ stdout: '', stderr: '', exit: '0' });
  });
});
