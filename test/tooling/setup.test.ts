/** The set-up before `npm start` and `npm test` installs and builds only what is missing or out of date. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { spawn } from '@lydell/node-pty';
import { beforeEach, describe, expect, it } from 'vitest';
import { useEmptyFolder } from '../helpers/sandbox.ts';

const root = path.resolve(import.meta.dirname, '../..');
const clone = useEmptyFolder();

function put(file: string, text = '', ageSeconds = 0) {
  const target = path.join(clone, file);
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, text);
  age(file, ageSeconds);
}

/** Makes a file or folder this old. */
function age(file: string, seconds: number) {
  const time = Date.now() / 1000 - seconds;
  utimesSync(path.join(clone, file), time, time);
}

/** A clone with an npm and a build that only write down that they ran. */
beforeEach(() => {
  for (const script of ['setup.js', 'start.js'])
    cpSync(path.join(root, 'scripts', script), path.join(clone, 'scripts', script));
  put('package.json', '{ "type": "module" }', 100);
  put('package-lock.json', '{}', 100);
  put('src/cli/main.ts', '', 100);
  put(
    'scripts/build.js',
    `import fs from 'node:fs'; fs.appendFileSync('log', 'build ' + process.argv.slice(2) + '\\n'); fs.mkdirSync('dist/cli', { recursive: true }); fs.writeFileSync('dist/cli/main.js', '');`,
    100,
  );
  put(
    'npm.cjs',
    `const fs = require('fs'); fs.appendFileSync('log', 'npm ' + process.argv.slice(2).join(' ') + '\\n'); fs.mkdirSync('node_modules', { recursive: true }); fs.writeFileSync('node_modules/.package-lock.json', '');`,
  );
  for (const folder of ['src', 'src/cli']) age(folder, 100);
});

function setUp() {
  rmSync(path.join(clone, 'log'), { force: true });
  const env = { ...process.env, npm_execpath: path.join(clone, 'npm.cjs') };
  const { status } = spawnSync(process.execPath, [path.join(clone, 'scripts/setup.js')], { cwd: tmpdir(), env });
  expect(status).toBe(0);
  const log = path.join(clone, 'log');
  return existsSync(log)
    ? readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
    : [];
}

describe('set-up', () => {
  it('installs and builds on a clean clone, and does nothing the second time', () => {
    expect(setUp()).toEqual(['npm ci --ignore-scripts --prefer-offline', 'build --bundle']);
    expect(setUp()).toEqual([]);
  });

  it('installs again when the lock file is newer than what is installed', () => {
    setUp();
    age('node_modules/.package-lock.json', 50);
    put('package-lock.json', '{}', 10);
    age('dist/cli/main.js', 0);
    expect(setUp()).toEqual(['npm ci --ignore-scripts --prefer-offline']);
  });

  it('builds again when a source is newer than the build', () => {
    setUp();
    age('dist/cli/main.js', 50);
    put('src/cli/other.ts', '', 10);
    expect(setUp()).toEqual(['build --bundle']);
  });

  it('builds again when a source was removed', () => {
    setUp();
    age('dist/cli/main.js', 50);
    rmSync(path.join(clone, 'src/cli/main.ts'));
    expect(setUp()).toEqual(['build --bundle']);
  });

  it('says what failed by its exit status', () => {
    put('scripts/build.js', 'process.exit(7);');
    const env = { ...process.env, npm_execpath: path.join(clone, 'npm.cjs') };
    expect(spawnSync(process.execPath, [path.join(clone, 'scripts/setup.js')], { env }).status).toBe(7);
  });
});

describe('npm start', () => {
  /** Runs scripts/start.js on a terminal with a program that says what it was given. */
  async function start(args: string[]): Promise<unknown> {
    put('bin/package.json', '{ "type": "commonjs" }');
    put(
      'bin/blkscope.js',
      `console.log(JSON.stringify({ args: process.argv.slice(2), terminal: process.stdin.isTTY === true && process.stdout.isTTY === true, cwd: process.cwd() }));`,
    );
    const terminal = spawn(process.execPath, [path.join(clone, 'scripts/start.js'), ...args], {
      cwd: clone,
      cols: 1000,
      env: { ...process.env, INIT_CWD: '/' },
    });
    let output = '';
    terminal.onData((data) => (output += data));
    await new Promise<void>((resolve) => terminal.onExit(() => resolve()));
    return JSON.parse(output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1));
  }

  it('opens the demo image when nothing else is asked for, on the terminal itself', async () => {
    expect(await start([])).toEqual({ args: ['--demo'], terminal: true, cwd: '/' });
  });

  it('passes arguments on, with file names as seen from where the user is', async () => {
    expect(await start(['-f', 'raw', 'disk.raw'])).toEqual({
      args: ['-f', 'raw', 'disk.raw'],
      terminal: true,
      cwd: '/',
    });
  });
});
