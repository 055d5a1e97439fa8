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
