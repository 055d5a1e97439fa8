/**
 * `npm run coverage`: how much of `src/` the tests of `npm test` reach, in their own process and in the runs of the
 * program that they start. Exits with 1 below the targets. What was not reached is in `coverage.json`, in Istanbul's
 * form, if `KEEP=FILE` names that file.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { addReached } from './merge.js';
import { programCoverage } from './program.js';

const LINES_PERCENT = 90;
const BRANCHES_PERCENT = 85;

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const folder = mkdtempSync(path.join(tmpdir(), 'blkscope-coverage-'));
const runs = path.join(folder, 'runs');

/** @param {string[]} words @param {NodeJS.ProcessEnv} [env] */
function node(words, env = {}) {
  const { status } = spawnSync(process.execPath, words, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  return status ?? 1;
}

process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

// Code whose places can be found again: not folded together, and not compiled before.
const built = node(['scripts/build.js', '--bundle', '--readable']);
const tested = node(
  [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--config=test/vitest.config.ts',
    '--coverage.enabled',
    '--coverage.provider=v8',
    '--coverage.include=src/**/*.ts',
    '--coverage.reporter=json',
    `--coverage.reportsDirectory=${path.join(folder, 'tests')}`,
  ],
  { PROGRAM_COVERAGE: runs },
);
const files = JSON.parse(readFileSync(path.join(folder, 'tests/coverage-final.json'), 'utf8'));
const alone = addReached(files, new Map());
const total = addReached(files, await programCoverage(runs, path.join(root, 'dist/cli')));
if (process.env.KEEP !== undefined) writeFileSync(process.env.KEEP, JSON.stringify(files));
node(['scripts/build.js', '--bundle']);

/** @param {string} what @param {{ lines: import('./merge.js').Share, branches: import('./merge.js').Share }} share */
function say(what, { lines, branches }) {
  console.log(
    `${what}: ${lines.percent.toFixed(1)} % of ${lines.all} lines, ${branches.percent.toFixed(1)} % of ${branches.all} branches`,
  );
}

say('the tests themselves', alone);
say('with the runs of the program', total);
const isMet = total.lines.percent >= LINES_PERCENT && total.branches.percent >= BRANCHES_PERCENT;
process.exitCode = built === 0 && tested === 0 && isMet ? 0 : 1;
