/**
 * The program exports its image: clients are served between its commands, held at its breakpoints, and let go at the
 * end.
 */
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { useEmptyFolder } from '../helpers/sandbox.ts';
import { RawClient } from '../nbd/raw-client.ts';
import { type LiveProgram, startProgram } from './live-program.ts';

const READ = 0;
const WRITE = 1;
const FLUSH = 3;

const folder = useEmptyFolder();
const address = () => ({ kind: 'unix', path: path.join(folder, 's') }) as const;
let program: LiveProgram;

beforeEach(() => {
  writeFileSync(path.join(folder, 'disk'), '');
  truncateSync(path.join(folder, 'disk'), 1 << 20);
});
afterEach(async () => {
  program.child.kill('SIGKILL');
  await program.exit;
});

const graph = 'driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename=disk';

async function start(...args: string[]): Promise<void> {
  program = startProgram([...args, '--image-opts', graph], folder);
  program.write('export start unix:s\n');
  await program.out.until('nbd+unix:///?socket=s\n');
}

/** Says a line and waits for what it prints. */
async function say(line: string, answer: string): Promise<void> {
  program.write(`${line}\n`);
  await program.out.until(answer);
}

/** Sets breakpoint A; the answer to a second command shows that it is set. */
async function setBreakpoint(event: string): Promise<void> {
  await say(`break ${event} A\nlength`, '1 MiB\n');
}

describe('export', () => {
  it('serves clients while the shell waits for a line, and holds them at breakpoints', async () => {
    await start();
    const client = await RawClient.open(address());
    expect((await client.ask({ type: READ, length: 512 })).error).toBe(0);
    await say('export clients', `client 1\tunix:s\t-\tserving\t1\t0\n`);
    await setBreakpoint('pwritev');
    client.send({ type: WRITE, cookie: 1n, offset: 4096, length: 512, payload: Buffer.alloc(512, 0x41) });
    await program.out.until("blkdebug: Suspended request 'A'\n");
    expect((await client.ask({ type: FLUSH, cookie: 2n })).cookie).toBe(2n);
    program.write('requests\n');
    await program.out.until('write\t4096\t512\tbreakpoint A\t');
    await program.out.until('\tclient 1\n');
    await say('suspended', '\tclient 1\n');
    await say('resume A', "blkdebug: Resuming request 'A'\n");
    expect((await client.reply()).cookie).toBe(1n);
    await say('read -P 0x41 4096 512', 'read 512/512 bytes at offset 4096\n');
    await say('write -P 0x42 8192 512', 'wrote 512/512 bytes at offset 8192\n');
    expect((await client.ask({ type: READ, offset: 8192, length: 1 })).data[8]).toBe(0x42);
    program.write('quit\n');
    expect(await program.exit).toBe('0');
    expect(existsSync(path.join(folder, 's'))).toBe(false);
    await client.closed();
  });

  it('serves clients while a command waits', async () => {
    await start();
    const client = await RawClient.open(address());
    await setBreakpoint('read_aio');
    program.write('aio_read 0 512\nwait_break A\nsleep 600000\n');
    await program.out.until("Suspended request 'A'");
    expect((await client.ask({ type: WRITE, length: 512, payload: Buffer.alloc(512) })).error).toBe(0);
  });

  it('cancels what is suspended when it stops, and goes on', async () => {
    await start();
    const client = await RawClient.open(address());
    await setBreakpoint('pwritev');
    client.send({ type: WRITE, cookie: 1n, length: 512, payload: Buffer.alloc(512, 0x41) });
    await program.out.until("Suspended request 'A'");
    program.write('export stop\nexport list\nread -P 0 0 512\n');
    expect((await client.reply()).error).toBe(5);
    await client.closed();
    await program.out.until('read 512/512 bytes at offset 0\n');
    await say('export start unix:s', 'nbd+unix:///?socket=s\n');
    expect((await (await RawClient.open(address())).ask({ type: FLUSH })).error).toBe(0);
  });

  it('ends with the image, and with the input', async () => {
    await start();
    const client = await RawClient.open(address());
    program.write('close\n');
    await client.closed();
    program.write(`open ${graph}\nexport -n two -r start unix:s\n`);
    await program.out.until('nbd+unix:///two?socket=s\n');
    const second = await RawClient.open(address(), { name: 'two' });
    expect((await second.ask({ type: 4, length: 512 })).error).toBe(1);
    await say('export list', 'two\tread-only\t1048576\t1\tnbd+unix:///two?socket=s\n');
    program.child.stdin?.end();
    expect(await program.exit).toBe('0');
    await second.closed();
  });

  it('lets the image be reopened only while no client has a request in flight', async () => {
    await start();
    const client = await RawClient.open(address());
    await setBreakpoint('pwritev');
    client.send({ type: WRITE, cookie: 1n, length: 512, payload: Buffer.alloc(512, 0x41) });
    await program.out.until("Suspended request 'A'");
    program.write('reopen -c writeback\n');
    await program.err.until("'A': write of client 1 of 512 bytes at offset 0, suspended at pwritev");
    await say('resume A', 'Resuming');
    await client.reply();
    await say('reopen -c writeback\nlength', '1 MiB\n');
    expect((await client.ask({ type: FLUSH })).error).toBe(0);
    await say('reopen -r\nlength', '1 MiB\n');
    client.send({ type: WRITE, length: 512, payload: Buffer.alloc(512) });
    expect((await client.reply()).error).toBe(1);
  });

  it('lets requests of clients wait while a reopen waits itself', async () => {
    await start();
    const client = await RawClient.open(address());
    await say('write 0 512', 'wrote 512/512');
    await setBreakpoint('flush_to_disk');
    await say('reopen -c writeback', "Suspended request 'A'");
    client.send({ type: READ, length: 512 });
    while (!program.out.text.includes('read\t0\t512\tthe end of reopen\t')) await say('requests\nlength', '1 MiB\n');
    program.write('reopen\n');
    await program.err.until('reopen: some requests cannot end before others are resumed\n');
    await say('resume A', 'Resuming');
    expect((await client.reply()).error).toBe(0);
    await say('reopen -c writethrough\nlength', '1 MiB\n');
  });

  it('records which client a request comes from', async () => {
    await start('--record', 'run.ndjson');
    const client = await RawClient.open(address());
    expect((await client.ask({ type: READ, offset: 512, length: 512 })).error).toBe(0);
    program.write('read 0 512\nquit\n');
    expect(await program.exit).toBe('0');
    const begins = readFileSync(path.join(folder, 'run.ndjson'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ kind, guestOffset }) => kind === 'request-begin' && guestOffset !== undefined);
    expect(new Set(begins.map(({ guestOffset, client: from }) => `${guestOffset} ${from}`))).toEqual(
      new Set(['512 client 1', '0 undefined']),
    );
  });

  it('says what is wrong', async () => {
    await start();
    const wrong = [
      ['export start unix:s', "'' is exported at unix:s already"],
      ['export start s', "'s' is not an address"],
      ['export start unix:disk', "Could not listen on 'unix:disk': File exists"],
      [`export -n ${'x'.repeat(5000)} start unix:unused`, 'File name too long'],
      ['export -n y start tcp:a..b:5', 'address resolution failed for a..b:5: Name or service not known'],
      ['export stop x', "There is no export 'x'"],
    ] as const;
    for (const [line, message] of wrong) {
      program.write(`${line}\n`);
      await program.err.until(message);
    }
    expect(existsSync(path.join(folder, 'unused'))).toBe(false);
    program.write('export nonsense\n');
    await program.out.until('export [-jr] [-n name]');
    const spoiler = await RawClient.greeted(address(), 0xff);
    await spoiler.closed();
    await program.err.until('client 1 (unix:s): unknown client flags 0xff; disconnected\n');
  });
});
