/** The program with --export, and as a server without a shell. */
import { existsSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { useEmptyFolder } from '../helpers/sandbox.ts';
import { RawClient } from '../nbd/raw-client.ts';
import { type LiveProgram, startProgram } from './live-program.ts';

const READ = 0;
const WRITE = 1;
const FLUSH = 3;

const folder = useEmptyFolder();
const at = (name: string) => path.join(folder, name);
const address = (name = 's') => ({ kind: 'unix', path: at(name) }) as const;
const URI = 'nbd+unix:///?socket=s\n';
let program: LiveProgram | null = null;

beforeEach(() => {
  writeFileSync(at('disk'), '');
  truncateSync(at('disk'), 1 << 20);
});
afterEach(async () => {
  program?.child.kill('SIGKILL');
  await program?.exit;
  program = null;
});

function start(...args: string[]): LiveProgram {
  program = startProgram(args, folder);
  return program;
}

describe('--export', () => {
  it('exports at every address, after the scripts and before the commands', async () => {
    writeFileSync(at('script'), 'write -q -P 0x33 0 512\n');
    const shell = start('-f', 'raw', '-x', 'script', '--export', 'unix:s', '--export', 'unix:t', 'disk');
    await shell.out.until(`${URI}nbd+unix:///?socket=t\n`);
    const client = await RawClient.open(address('t'));
    expect((await client.ask({ type: READ, length: 1 })).data[8]).toBe(0x33);
    shell.write('export list\n');
    await shell.out.until('nbd+unix:///?socket=s nbd+unix:///?socket=t\n');
    shell.write('quit\n');
    expect(await shell.exit).toBe('0');
    await client.closed();
  });

  it('ends the program if it cannot be done', async () => {
    const unreachable = await runProgram(blkscope, ['--export', 'unix:no/s', '-f', 'raw', 'disk'], { cwd: folder });
    expect(unreachable).toEqual({
      stdout: '',
      stderr: "qemu-io: Could not listen on 'unix:no/s': No such file or directory\n",
      exit: '1',
    });
    const nothing = await runProgram(blkscope, ['--export', 'unix:s'], { cwd: folder });
    expect(nothing.stderr).toBe("qemu-io: no file open, try 'help open'\n");
    expect(nothing.exit).toBe('1');
  });
});

describe('blkscope serve', () => {
  it('serves until SIGTERM, and then ends in order, listing the requests that it cancels', async () => {
    writeFileSync(at('script'), 'break pwritev A\n');
    const server = start('serve', '--export', 'unix:s', '-D', '-x', 'script', '-f', 'raw', 'disk');
    await server.out.until(URI);
    const client = await RawClient.open(address());
    client.send({ type: WRITE, cookie: 1n, length: 512, payload: Buffer.alloc(512, 1) });
    await server.out.until("Suspended request 'A'");
    expect((await client.ask({ type: FLUSH, cookie: 2n })).cookie).toBe(2n);
    server.child.kill('SIGTERM');
    expect((await client.reply()).error).toBe(5);
    await client.closed();
    expect(await server.exit).toBe('1');
    expect(server.err.text).toMatch(
      /^blkscope: cancelled: 'A': write of client 1 of 512 bytes at offset 0, suspended at pwritev for \d+\.\d s\n$/,
    );
    expect(existsSync(at('s'))).toBe(false);
  });

  it('has not failed when a signal ends it, and no request was suspended', async () => {
    const server = start('serve', '--export', 'unix:s', '-f', 'raw', 'disk');
    await server.out.until(URI);
    server.child.kill('SIGINT');
    expect(await server.exit).toBe('0');
    expect(server.err.text).toBe('');
  });

  it('ends with --once when the last client has left', async () => {
    const server = start('serve', '--once', '--export', 'unix:s', '-f', 'raw', 'disk');
    await server.out.until(URI);
    const [first, second] = [await RawClient.open(address()), await RawClient.open(address())];
    first.end();
    expect((await second.ask({ type: FLUSH })).error).toBe(0);
    second.end();
    expect(await server.exit).toBe('0');
  });

  it('runs its commands before it exports, and does not serve if one fails under --bail', async () => {
    const options = ['--export', 'unix:s', '-D', '-f', 'raw', 'disk'];
    const failed = await runProgram(blkscope, ['serve', '--bail', '-c', 'nosuch', ...options], { cwd: folder });
    expect(failed).toEqual({ stdout: '', stderr: 'command "nosuch" not found\n', exit: '1' });
    const server = start('serve', '-c', 'export list', '-c', 'nosuch', '-c', 'length', ...options);
    await server.out.until(URI);
    expect(server.out.text).toBe(`1 MiB\n${URI}`);
  });

  it('opens no port for a debugger on SIGUSR1', async () => {
    const server = start('serve', '--export', 'unix:s', '-f', 'raw', 'disk');
    await server.out.until(URI);
    server.child.kill('SIGUSR1');
    const client = await RawClient.open(address());
    expect((await client.ask({ type: READ, length: 1 })).error).toBe(0);
    server.child.kill('SIGTERM');
    expect(await server.exit).toBe('0');
    expect(server.err.text).toBe('');
  });

  it('needs an address, and explains itself', async () => {
    const lacking = await runProgram(blkscope, ['serve', '-f', 'raw', 'disk'], { cwd: folder });
    expect(lacking.exit).toBe('1');
    expect(lacking.stderr).toContain('serve needs --export ADDRESS');
    const help = await runProgram(blkscope, ['serve', '--help'], { cwd: folder });
    expect(help.exit).toBe('0');
    expect(help.stdout).toContain('--once');
  });
});
