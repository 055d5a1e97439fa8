/** The linter knows types: promises that are not waited for and forgotten cases of a switch are found. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { useFolder } from '../helpers/sandbox.ts';

const root = path.resolve(import.meta.dirname, '../..');
const folder = useFolder();

beforeAll(() => {
  mkdirSync(path.join(folder, 'src'));
  for (const name of ['node_modules', 'tsconfig.json', '.oxlintrc.json'])
    symlinkSync(path.join(root, name), path.join(folder, name));
});

it.each([
  [
    'a promise that is not waited for',
    'no-floating-promises',
    `async function f(): Promise<void> {}\nf();\nexport {};\n`,
  ],
  [
    'a promise as a condition',
    'no-misused-promises',
    `export async function f(): Promise<boolean> {\n  if (f()) return true;\n  return false;\n}\n`,
  ],
  [
    'a case that a switch forgets',
    'switch-exhaustiveness-check',
    `export function f(kind: 'a' | 'b'): number {\n  switch (kind) {\n    case 'a':\n      return 1;\n  }\n  return 2;\n}\n`,
  ],
])('finds %s', (_what, rule, text) => {
  writeFileSync(path.join(folder, 'src/planted.ts'), text);
  const { status, stdout } = spawnSync(
    path.join(root, 'node_modules/.bin/oxlint'),
    ['--type-aware', '--deny-warnings'],
    { cwd: folder, encoding: 'utf8' },
  );
  expect(stdout).toContain(rule);
  expect(status).toBe(1);
});

it('has nothing against a promise that is waited for', () => {
  writeFileSync(path.join(folder, 'src/planted.ts'), `async function f(): Promise<void> {}\nawait f();\nexport {};\n`);
  const { status, stdout } = spawnSync(
    path.join(root, 'node_modules/.bin/oxlint'),
    ['--type-aware', '--deny-warnings'],
    { cwd: folder, encoding: 'utf8' },
  );
  expect(stdout).toContain('0 errors');
  expect(status).toBe(0);
});
