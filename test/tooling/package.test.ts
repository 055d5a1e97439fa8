/**
 * The package as users get it: the tarball installed by npm and run by npx, and on other versions of Node.
 *
 * npm needs the registry, or its cache of it, for the dependencies; without either these tests are skipped.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { nodePrograms } from '../helpers/node-programs.ts';
import { plainEnvironment } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';

const root = path.resolve(import.meta.dirname, '../..');
const folder = useFolder();
const tarball = () => path.join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? 'none');

/** npm without the settings that an npm around this test passes on. A registry that is not there is not waited for. */
function npm(...args: string[]) {
  const env = { ...plainEnvironment(), npm_config_fetch_retries: '0', npm_config_fetch_timeout: '20000' };
  return spawnSync('npm', ['--prefer-offline', '--no-audit', '--no-fund', ...args], {
    cwd: folder,
    env,
    encoding: 'utf8',
  });
}

/** A command that needs packages of a registry; skips the test where there is none. */
function npmOrSkip({ skip }: Pick<TestContext, 'skip'>, ...args: string[]): string {
  const { status, stdout, stderr } = npm(...args);
  if (
    status !== 0 &&
    /ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|ECONNRESET|E5\d\d/.test(stderr)
  )
    skip('no registry and nothing in the cache of npm');
  expect(stderr).not.toMatch(/npm error/);
  expect(status).toBe(0);
  return stdout;
}

/** A session over a new disk, with the host's calls and blkdebug in it. */
const script = 'write -P 7 0 4k\nread -P 7 0 4k\nbreak pwritev A\naio_write -q 0 512\nresume A\naio_flush\n';

/** Runs the script and expects what it says. */
function expectWorks(command: string, ...args: string[]) {
  writeFileSync(path.join(folder, 'disk.raw'), Buffer.alloc(1 << 20));
  const { stdout, stderr, status } = spawnSync(command, [...args, '-f', 'raw', 'blkdebug::disk.raw'], {
    cwd: folder,
    env: plainEnvironment(),
    input: script,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(stdout).toMatch(/^qemu-io> wrote 4096\/4096 bytes at offset 0\n/);
  expect(stdout).toContain("blkdebug: Resuming request 'A'\n");
  expect(status).toBe(0);
}

beforeAll(() => {
  // Built already: the set-up before the tests sees to that.
  const { status, stderr } = npm('pack', root, '--ignore-scripts', '--silent');
  expect(stderr).toBe('');
  expect(status).toBe(0);
});

describe('the tarball', () => {
  it('holds the program and no leavings of the build', () => {
    const names = execFileSync('tar', ['-tzf', tarball()], { encoding: 'utf8' }).trim().split('\n');
    for (const name of ['bin/blkscope.js', 'dist/cli/main.js', 'package.json', 'README.md', 'LICENSE'])
      expect(names).toContain(`package/${name}`);
    expect(names.filter((name) => /\.(map|code|ts)$|\/(src|test|scripts|node_modules)\//.test(name))).toEqual([]);
  });

  it('can be installed by npm, and linked to under the name of qemu-io', (context) => {
    const prefix = path.join(folder, 'prefix');
    mkdirSync(prefix);
    npmOrSkip(context, 'install', '--global', '--ignore-scripts', '--prefix', prefix, tarball());
    const program = path.join(prefix, 'bin/blkscope');
    expectWorks(program);
    expect(readFileSync(path.join(prefix, 'share/man/man1/blkscope.1'), 'utf8')).toContain('BLKSCOPE');
    const link = path.join(folder, 'qemu-io');
    symlinkSync(program, link);
    expectWorks(link);
  });

  it('can be run by npx', (context) => {
    const args = ['exec', '--yes', '--ignore-scripts', '--package', tarball(), '--', 'blkscope', '-c', 'help flush'];
    expect(npmOrSkip(context, ...args)).toContain('flush');
  });
});

describe('the program', () => {
  it.skipIf(nodePrograms.length === 1)('has other Nodes to run on, from BLKSCOPE_NODES', () => {
    expect(new Set(nodePrograms.map(([version]) => version)).size).toBe(nodePrograms.length);
  });

  it.each(nodePrograms)('runs on Node %s', (_version, node) => {
    expectWorks(node, path.join(root, 'bin/blkscope.js'));
  });
});
