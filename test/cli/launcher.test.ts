/**
 * How the program starts: by any path to it, and with a cache of compiled code that is missing, damaged or not to be
 * had.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { blkscope, plainEnvironment } from '../helpers/run-program.ts';
import { nodePrograms } from '../helpers/node-programs.ts';
import { useFolder } from '../helpers/sandbox.ts';

const bin = path.resolve(import.meta.dirname, '../../bin/blkscope.js');
const folder = useFolder();

/** The output of `-V`, with errors and status. */
function version(command: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): string {
  const { stdout, stderr, status } = spawnSync(command, [...args, '-V'], {
    cwd: folder,
    env: { ...plainEnvironment(), ...env },
    timeout: 20_000,
    encoding: 'utf8',
  });
  return `${stdout}${stderr}${status}`;
}

const expected = expect.stringMatching(/^qemu-io version 7\.2 \(blkscope \d+\.\d+\.\d+\)\n0$/);

describe('the launcher', () => {
  it('needs nothing of env(1) but to find Node: BusyBox has no env -S', () => {
    expect(readFileSync(bin, 'utf8').split('\n', 1)).toEqual(['#!/usr/bin/env node']);
    expect(version(bin)).toEqual(expected);
  });

  it('runs through relative and absolute links', () => {
    symlinkSync(bin, path.join(folder, 'absolute'));
    symlinkSync(path.relative(folder, bin), path.join(folder, 'relative'));
    symlinkSync('relative', path.join(folder, 'twice'));
    for (const name of ['./absolute', './relative', './twice']) expect(version(name), name).toEqual(expected);
  });

  it('says what is missing where the program has not been built', () => {
    mkdirSync(path.join(folder, 'clone/bin'), { recursive: true });
    writeFileSync(path.join(folder, 'clone/bin/blkscope.cjs'), readFileSync(bin));
    const said = version(process.execPath, [path.join(folder, 'clone/bin/blkscope.cjs')]);
    expect(said).toBe('blkscope: the program has not been built; run "npm start" or "npm test" once\n1');
  });
});

/** The files that a run with these arguments has loaded by its end, without the marks of their builds. */
function loadedBy(args: readonly string[], stdin = ''): string[] {
  const script = `
    process.on('exit', () => console.error(Object.keys(require.cache).join('\\n')));
    process.argv.splice(1, 0, ${JSON.stringify(bin)});
    require(${JSON.stringify(bin)});`;
  const options = { cwd: folder, env: plainEnvironment(), timeout: 20_000, encoding: 'utf8', input: stdin } as const;
  const { stderr } = spawnSync(process.execPath, ['-e', script, '--', ...args], options);
  return stderr
    .split('\n')
    .filter((file) => file.includes('/dist/cli/'))
    .map((file) => path.basename(file, '.js').replace(/-[\w-]{8}$/, ''));
}

describe('a start loads no more than it needs', () => {
  const script = 'write -q 0 4k\nread -q 0 4k\naio_write -q 4k 4k\naio_flush\nflush\nquit\n';
  const image = ['main', 'image', 'rolldown-runtime'];

  it('without an image nothing of the block layer', () => {
    expect(loadedBy(['-c', 'quit'])).toEqual(['main']);
    expect(loadedBy(['-V'])).toEqual(['main']);
  });

  it('a script of reads and writes one file for its image, and one for each of qcow2 and blkdebug', () => {
    for (const [name, more] of [
      ['raw', []],
      ['qcow2', ['qcow2']],
    ] as const) {
      const created = spawnSync(process.execPath, [bin, '-c', `create -q -f ${name} ${name} 1M`], { cwd: folder });
      expect(created.status).toBe(0);
      expect(loadedBy(['-f', name, name], script).toSorted()).toEqual([...image, ...more].toSorted());
      expect(loadedBy(['-f', name, `blkdebug::${name}`], script).toSorted()).toEqual(
        [...image, 'blkdebug', ...more].toSorted(),
      );
    }
  });
});

describe.each(nodePrograms)('with Node %s the cache of compiled code', (_, node) => {
  const cache = path.join(folder, `cache-${path.basename(path.dirname(path.dirname(node)))}`);
  const args = [...blkscope.args];

  it('may be missing, and then be there', () => {
    for (let run = 0; run < 3; run += 1) expect(version(node, args, { XDG_CACHE_HOME: cache })).toEqual(expected);
  });

  it('may be damaged', () => {
    const found = spawnSync('find', [cache, '-type', 'f'], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean);
    for (const file of found) {
      const bytes = readFileSync(file);
      for (let at = 64; at < bytes.length; at += 97) bytes[at] = (bytes[at] ?? 0) ^ 0xff;
      writeFileSync(file, bytes);
    }
    expect(version(node, args, { XDG_CACHE_HOME: cache })).toEqual(expected);
  });

  it('may be impossible: a file in the way, no right to write, no home', () => {
    const locked = path.join(folder, 'locked');
    mkdirSync(locked, { recursive: true });
    chmodSync(locked, 0o500);
    const homes = [{ XDG_CACHE_HOME: '/dev/null' }, { XDG_CACHE_HOME: locked }, { XDG_CACHE_HOME: '/proc' }];
    for (const env of [...homes, { XDG_CACHE_HOME: '', HOME: '' }, { XDG_CACHE_HOME: '', HOME: '/nonexistent' }])
      expect(version(node, args, env), JSON.stringify(env)).toEqual(expected);
  });
});
