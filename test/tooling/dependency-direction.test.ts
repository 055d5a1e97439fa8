/** The check of import directions bites: violations planted in a copy of the sources are found and named. */
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
let copy: string;

beforeEach(() => {
  copy = mkdtempSync(path.join(tmpdir(), 'blkscope-deps-'));
  for (const part of ['src', 'tsconfig.json', 'package.json'])
    cpSync(path.join(root, part), path.join(copy, part), { recursive: true });
  symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
});
afterEach(() => rmSync(copy, { recursive: true, force: true }));

function check() {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(root, 'scripts/check-deps.js'), copy], {
    encoding: 'utf8',
  });
  return { status, stdout, complaints: stderr.split('\n').filter((line) => line !== '') };
}

function plant(file: string, line: string) {
  appendFileSync(path.join(copy, 'src', file), `\n${line}\n`);
}

describe('the check of import directions', () => {
  it('sees every module of the project and finds nothing wrong', () => {
    const { status, stdout, complaints } = check();
    expect(complaints).toEqual([]);
    expect(status).toBe(0);
    expect(Number.parseInt(stdout, 10)).toBeGreaterThan(20);
  });

  it.each([
    [
      'an import of values',
      'util/align.ts',
      `import { Open } from '../block/flags.ts'; void Open;`,
      'util-imports-only: src/util/align.ts imports src/block/flags.ts',
    ],
    [
      'an import of types',
      'util/align.ts',
      `import type { DebugEvent } from '../block/events/events.ts';`,
      'util-imports-only: src/util/align.ts imports src/block/events/events.ts',
    ],
    [
      'a dynamic import',
      'block/error.ts',
      `void import('../drivers/planted.ts');`,
      'block-imports-only: src/block/error.ts imports src/drivers/planted.ts',
    ],
    [
      'an export from elsewhere',
      'shell/planted.ts',
      `export * from '../drivers/planted.ts';`,
      'shell-imports-only: src/shell/planted.ts imports src/drivers/planted.ts',
    ],
    [
      'a file of a sibling driver',
      'drivers/raw/planted.ts',
      `export * from '../null/planted.ts';`,
      'no-sibling-driver: src/drivers/raw/planted.ts imports src/drivers/null/planted.ts',
    ],
    [
      'a sibling driver of one file',
      'drivers/planted.ts',
      `export * from './null/planted.ts';`,
      'no-sibling-driver: src/drivers/planted.ts imports src/drivers/null/planted.ts',
    ],
    [
      'the host outside of sys',
      'block/error.ts',
      `import koffi from 'koffi'; void koffi;`,
      'koffi-in-sys: src/block/error.ts imports ',
    ],
    [
      'an import of nothing',
      'block/error.ts',
      `import './nowhere.ts';`,
      'resolvable: src/block/error.ts imports ./nowhere.ts',
    ],
  ])('finds %s', (_what, file, line, complaint) => {
    plant('drivers/planted.ts', 'export const planted = 1;');
    plant('drivers/null/planted.ts', 'export const planted = 1;');
    plant(file, line);
    const { status, complaints } = check();
    expect(status).toBe(1);
    expect(complaints).toContainEqual(expect.stringContaining(complaint));
  });
});
