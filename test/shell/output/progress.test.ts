/** The progress of long requests on a terminal. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Progress } from '../../../src/shell/output/progress.ts';
import type { Output } from '../../../src/shell/output/output.ts';
import { testShell } from '../../helpers/shell.ts';

const silent = { stdout() {}, stderr() {}, flush() {}, drop() {}, isTerminal: true };
let nowMs = 0;
let lines: string[] = [];
const output: Output = { ...silent, progress: (line) => lines.push(line) };

beforeEach(() => {
  nowMs = 0;
  lines = [];
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
});
afterEach(() => vi.restoreAllMocks());

describe('progress', () => {
  it('is told after half a second, ten times a second, and goes in the end', () => {
    const progress = Progress.of(output, 'write', 1000, String);
    for (nowMs = 0; nowMs < 1000; nowMs += 10) progress?.reached(nowMs);
    expect(lines).toEqual([
      'write: 50%, 500 of 1000',
      'write: 60%, 600 of 1000',
      'write: 70%, 700 of 1000',
      'write: 80%, 800 of 1000',
      'write: 90%, 900 of 1000',
    ]);
    progress?.end();
    expect(lines.at(-1)).toBe('');
  });

  it('adds up, and never claims to be done', () => {
    const progress = Progress.of(output, 'read', 100, String);
    nowMs = 600;
    progress?.add(150);
    expect(lines).toEqual(['read: 99%, 100 of 100']);
  });

  it('is none where no terminal shows it', () => {
    expect(Progress.of(silent, 'write', 1, String)).toBeNull();
  });

  it('of a map and of a sourced file is taken away also when they fail', async () => {
    const shell = await testShell();
    Object.assign(shell.session.output, { progress: (line: string) => lines.push(line) });
    await shell.run('map');
    expect(lines).toEqual(['']);
    await shell.run(`source ${import.meta.filename}`);
    expect(lines).toEqual(['', '']);
  });
});
