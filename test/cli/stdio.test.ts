/** The order and the pieces in which output reaches the kernel: as C's stdio does it. */
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Stdio } from '../../src/cli/stdio.ts';
import { useFolder } from '../helpers/sandbox.ts';

const folder = useFolder();
const file = path.join(folder, 'out');
/** The buffer of C's stdio: a block of the file system, 8 KiB at most (observed with qemu-io 7.2.22). */
const BLOCK_BYTES = Math.min(statSync(folder).blksize, 8192);

// Both streams go to one file, as with `>out 2>&1`.
let fd: number;
let stdio: Stdio;
beforeEach(() => {
  fd = openSync(file, 'w');
  stdio = new Stdio(fd, fd);
});
afterEach(() => closeSync(fd));
const written = (): string => readFileSync(file, 'utf8');

describe('standard output', () => {
  it('stays behind standard error until it is flushed', () => {
    stdio.stdout('a');
    stdio.stderr('b');
    stdio.flush();
    stdio.stderr('c');
    stdio.stdout('d');
    stdio.end();
    expect(written()).toBe('bacd');
  });

  it('leaves in blocks once one byte more comes', () => {
    stdio.stdout('x'.repeat(BLOCK_BYTES));
    stdio.stderr('1');
    stdio.stdout('y');
    stdio.stderr('2');
    stdio.stdout('z'.repeat(BLOCK_BYTES));
    stdio.stderr('3');
    stdio.end();
    expect(written()).toBe(`1${'x'.repeat(BLOCK_BYTES)}2y${'z'.repeat(BLOCK_BYTES - 1)}3z`);
  });

  it('counts bytes, not characters', () => {
    stdio.stdout('é'.repeat(BLOCK_BYTES / 2));
    stdio.stderr('1');
    stdio.stdout('e');
    stdio.stderr('2');
    stdio.end();
    expect(written()).toBe(`1${'é'.repeat(BLOCK_BYTES / 2)}2e`);
  });

  it('takes texts larger than its buffer', () => {
    const text = 'abcdefgh'.repeat(100_000);
    stdio.stdout('first ');
    stdio.stdout(text);
    stdio.stderr('!');
    stdio.stdout(text);
    stdio.end();
    const before = 'first '.length + text.length;
    const boundary = before - 1 - ((before - 1) % BLOCK_BYTES);
    const all = `first ${text}`;
    expect(written()).toBe(`${all.slice(0, boundary)}!${all.slice(boundary)}${text}`);
  });

  it('is lost as far as it was held when the program dies', () => {
    stdio.stdout('kept');
    stdio.flush();
    stdio.stdout('lost');
    stdio.drop();
    stdio.end();
    expect(written()).toBe('kept');
  });

  it('reaches the kernel when the event loop turns', async () => {
    stdio.stdout('prompt> ');
    stdio.flush();
    stdio.stdout('held');
    await new Promise(setImmediate);
    expect(written()).toBe('prompt> ');
  });

  it('is written in few pieces', async () => {
    const { calls, release } = countWrites(stdio);
    for (let line = 0; line < 10_000; line += 1) {
      stdio.stdout('qemu-io> ');
      stdio.flush();
      stdio.stdout('result\n');
    }
    stdio.end();
    release();
    expect(written()).toBe('qemu-io> result\n'.repeat(10_000));
    expect(calls()).toBeLessThan(200);
  });
});

it('the guard is around every write', () => {
  const seen: string[] = [];
  stdio.guard = (write) => {
    seen.push('before');
    write();
    seen.push(written());
  };
  stdio.stdout('out');
  stdio.flush();
  stdio.stderr('err');
  // On a slow machine the first text goes out by itself.
  const guarded = seen.filter((_, index) => index % 2 === 1);
  expect(seen.filter((_, index) => index % 2 === 0).every((mark) => mark === 'before')).toBe(true);
  expect([['outerr'], ['out', 'outerr']]).toContainEqual(guarded);
});

it('the guard is told of what standard error sends ahead, too', () => {
  let told = '';
  stdio.guard = (write, text) => {
    told += text;
    write();
  };
  stdio.stdout('out ');
  stdio.flush();
  stdio.stderr('err ');
  stdio.stdout('end');
  stdio.end();
  expect(told).toBe(written());
  expect(told).toBe('out err end');
});

it('a full disk ends the stream, not the program', () => {
  const full = openSync('/dev/full', 'w');
  const lost = new Stdio(full, full);
  lost.stdout('text');
  lost.end();
  lost.stderr('text');
  closeSync(full);
});

function countWrites(subject: Stdio): { calls: () => number; release: () => void } {
  let count = 0;
  subject.guard = (write) => {
    count += 1;
    write();
  };
  return {
    calls: () => count,
    release: () => {
      subject.guard = null;
    },
  };
}
