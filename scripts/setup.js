/**
 * Makes a clone ready to run: installs the dependencies and builds the program, each only if it is missing or out of
 * date. Runs before `npm start` and `npm test`; needs nothing but Node and npm.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** When a file was last changed, or 0 if it is not there. @param {string} file */
function changedAt(file) {
  return statSync(path.join(root, file), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** The newest change in a folder; folders count too, since a removed file changes its folder. @param {string} folder */
function newestIn(folder) {
  let newest = changedAt(folder);
  for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
    const child = path.join(folder, entry.name);
    newest = Math.max(newest, entry.isDirectory() ? newestIn(child) : changedAt(child));
  }
  return newest;
}

/** Runs a step and ends with its status if it fails. @param {string} what @param {string[]} args */
function step(what, args) {
  console.error(`blkscope: ${what}`);
  const { status, error } = spawnSync(process.execPath, args, { cwd: root, stdio: ['ignore', 2, 2] });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

function npmCli() {
  const fromNpm = process.env.npm_execpath;
  if (fromNpm === undefined) throw new Error('dependencies are missing: run this through npm, or run `npm ci` first');
  return fromNpm;
}

if (Number(process.versions.node.split('.')[0]) < 20) {
  console.error(`blkscope needs Node.js 20 or newer; this is ${process.version}`);
  process.exit(1);
}
// npm writes this file last, so an install that was cut short does not count. No package of ours needs its install
// script.
if (changedAt('node_modules/.package-lock.json') < changedAt('package-lock.json')) {
  step('installing dependencies (once)', [npmCli(), 'ci', '--ignore-scripts', '--prefer-offline']);
}
const sources = Math.max(newestIn('src'), changedAt('scripts/build.js'), changedAt('package-lock.json'));
if (changedAt('dist/cli/main.js') < sources) step('building', ['scripts/build.js', '--bundle']);
