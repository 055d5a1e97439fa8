/** The prompt on a pseudo-terminal: history, completion, Ctrl-C, Ctrl-D. */
import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { spawn } from '@lydell/node-pty';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { blkscope, plainEnvironment } from '../helpers/run-program.ts';
import { Transcript } from './live-program.ts';
import { useFolder } from '../helpers/sandbox.ts';

const cwd = useFolder();
const history = path.join(cwd, 'state', 'blkscope', 'history');
beforeAll(() => {
  writeFileSync(path.join(cwd, 'a.img'), '');
  truncateSync(path.join(cwd, 'a.img'), 1 << 20);
});
beforeEach(() => rmSync(history, { force: true }));

const ctrlC = '\x03';
const ctrlD = '\x04';
const up = '\x1b[A';

interface TerminalProgram {
  readonly screen: Transcript;
  readonly type: (text: string) => void;
  readonly exit: Promise<{ exitCode: number; signal?: number | undefined }>;
}

/** Starts blkscope on a terminal and waits for its prompt. */
async function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<TerminalProgram> {
  const pty = spawn(blkscope.command, [...blkscope.args, ...args], {
    cwd,
    cols: 100,
    rows: 30,
    env: {
      ...plainEnvironment(),
      TMPDIR: tmpdir(),
      TERM: 'xterm',
      NO_COLOR: '1',
      XDG_STATE_HOME: path.join(cwd, 'state'),
      ...env,
    },
  });
  const screen = new Transcript();
  pty.onData((data) => screen.add(data));
  const exit = new Promise<{ exitCode: number; signal?: number | undefined }>((resolve) => {
    pty.onExit((end) => {
      screen.end();
      resolve(end);
    });
  });
  await screen.until('blkscope> ');
  return { screen, exit, type: (text) => pty.write(text) };
}

const onBlkdebug = ['-f', 'raw', 'blkdebug::a.img'];

describe('a terminal', () => {
  it('shows its own prompt and messages, and leaves on Ctrl-D', async () => {
    const { screen, type, exit } = await start(['-f', 'raw', 'a.img']);
    type('length\r');
    await screen.until('1 MiB\r\n');
    await screen.until('blkscope> ');
    type('sleep abc\r');
    await screen.until('abc is not a valid number');
    await screen.until('blkscope> ');
    type(ctrlD);
    expect(await exit).toMatchObject({ exitCode: 1 });
  });

  it('greets on the demo image', async () => {
    const { screen, type, exit } = await start(['--demo']);
    expect(screen.text).toContain('"help" lists the commands');
    type('quit\r');
    expect(await exit).toMatchObject({ exitCode: 0 });
  });

  it('gives the prompt back from a suspended write, and shows its end above the line being typed', async () => {
    const { screen, type, exit } = await start(onBlkdebug);
    type('break pwritev A\r');
    await screen.until('blkscope> ');
    type('write 0 4k\r');
    await screen.until('"resume A" lets it go on)');
    await screen.until('blkscope [1 suspended]> ');
    type('resume A\r');
    await screen.until('wrote 4096/4096 bytes');
    await screen.until('blkscope> ');
    type(ctrlD);
    expect(await exit).toMatchObject({ exitCode: 0 });
  });

  it('tells in the prompt below a report what has changed since the last one', async () => {
    const image = 'driver=raw,file.driver=blkdebug,file.image.driver=null-aio,file.image.size=1M';
    const { screen, type, exit } = await start(['--image-opts', `${image},file.image.latency-ns=300000000`]);
    type('break pwritev_done A\r');
    await screen.until('blkscope> ');
    type('aio_write 0 4k\r');
    await screen.until('blkscope> ');
    type('leng');
    await screen.until("Suspended request 'A'");
    await screen.until('blkscope [1 suspended]> leng');
    type('th\r');
    await screen.until('1 MiB');
    type('resume A\rquit\r');
    expect(await exit).toMatchObject({ exitCode: 0 });
  });

  it('puts a report above the line being typed', async () => {
    const { screen, type, exit } = await start(['--image-opts', 'driver=null-aio,size=1M,latency-ns=300000000']);
    type('aio_read 0 4k\r');
    await screen.until('blkscope> ');
    type('leng');
    await screen.until('read 4096/4096');
    await screen.until('blkscope> leng');
    type('th\r');
    await screen.until('1 MiB');
    type('quit\r');
    expect(await exit).toMatchObject({ exitCode: 0 });
  });

  it('leaves output that does not end its line where it is', async () => {
    const { screen, type, exit } = await start(['-f', 'raw', 'a.img']);
    type('!printf unfinished\r');
    await screen.until('unfinished\r\n');
    await screen.until('blkscope> ');
    type(ctrlD);
    expect(await exit).toMatchObject({ exitCode: 0 });
  });

  it('stays with bail on after an error', async () => {
    const { screen, type, exit } = await start(['-f', 'raw', 'a.img']);
    type('bail on\r');
    await screen.until('blkscope> ');
    type('nonsense\r');
    await screen.until('not found');
    await screen.until('blkscope> ');
    type('length\r');
    await screen.until('1 MiB');
    type(ctrlD);
    await exit;
  });

  it('runs pasted lines in order', async () => {
    const { screen, type, exit } = await start(['-f', 'raw', 'a.img']);
    type('length\rdiscard\rlength\rquit\r');
    await screen.until('1 MiB');
    await screen.until('bad argument count');
    await screen.until('1 MiB');
    expect(await exit).toMatchObject({ exitCode: 1 });
  });

  it('lists what a word may become below the line, which comes again', async () => {
    const { screen, type, exit } = await start(['-f', 'raw', 'a.img']);
    type('aio');
    type('\t');
    await screen.until('aio_');
    type('\t');
    await screen.until('\r\naio_discard  aio_flush    aio_read     aio_write\r\n');
    await screen.until('blkscope> aio_');
    type(`fl\t\r${ctrlD}`);
    expect(await exit).toMatchObject({ exitCode: 0 });
  });

  it('puts what is pasted where the cursor is', async () => {
    const { screen, type, exit } = await start(['-f', 'raw', 'a.img']);
    type('leh\x1b[D');
    await screen.until('leh');
    type('ngt');
    type('\r');
    await screen.until('1 MiB');
    type(ctrlD);
    expect(await exit).toMatchObject({ exitCode: 0 });
  });

  it('completes commands, events and tags', async () => {
    const { screen, type, exit } = await start(onBlkdebug);
    type('bre\t');
    await screen.until('break ');
    type('pwritev_zer\t');
    await screen.until('pwritev_zero ');
    type('TAG\r');
    await screen.until('blkscope> ');
    type('remove_break T\t');
    await screen.until('remove_break TAG ');
    type('\r');
    await screen.until('blkscope> ');
    type(ctrlD);
    expect(await exit).toMatchObject({ exitCode: 0 });
  });
});

describe('Ctrl-C', () => {
  it('ends what a command waits for', async () => {
    const { screen, type, exit } = await start(['-f', 'raw', 'a.img']);
    type('sleep 1000000\r');
    await screen.until('\r\n');
    type(ctrlC);
    await screen.until('blkscope> ');
    type('length\r');
    await screen.until('1 MiB');
    type(ctrlD);
    await exit;
  });

  it('clears a line; on an empty one it hints, and leaves the second time', async () => {
    const { screen, type, exit } = await start(['-f', 'raw', 'a.img']);
    type('nonsense');
    await screen.until('nonsense');
    type(ctrlC);
    type('length\r');
    await screen.until('1 MiB');
    type(ctrlC);
    await screen.until('(Ctrl-C again');
    type(ctrlC);
    expect(await exit).toMatchObject({ exitCode: 0 });
    expect(screen.text).not.toContain('not found');
  });
});

describe('what is typed ahead', () => {
  it('waits for its prompt, and is dropped by Ctrl-C', async () => {
    const { screen, type, exit } = await start(['-f', 'raw', 'a.img']);
    type('sleep 1000000\rwrite -q -P 9 0 4k\rlength');
    await screen.until('sleep 1000000');
    type(ctrlC);
    await screen.until('blkscope> ');
    type('read -P 9 0 4k\rlength\r');
    await screen.until('Pattern verification failed');
    await screen.until('1 MiB');
    expect(screen.text).not.toContain('write');
    type(ctrlD);
    expect(await exit).toMatchObject({ exitCode: 1 });
  });

  it('is echoed once, behind the prompt that takes it', async () => {
    const { screen, type, exit } = await start(['-f', 'raw', 'a.img']);
    type('sleep 1\rsleep 2\rsleep 3\rquit\r');
    expect(await exit).toMatchObject({ exitCode: 0 });
    for (const line of ['sleep 1', 'sleep 2', 'sleep 3', 'quit']) expect(screen.text.split(line)).toHaveLength(2);
  });

  it('may be two Tabs in one read', async () => {
    const { screen, type, exit } = await start(['-f', 'raw', 'a.img']);
    type('aio_\t\t');
    await screen.until('aio_write');
    type('\x15');
    type(ctrlD);
    expect(await exit).toMatchObject({ exitCode: 0 });
    expect(screen.text).not.toContain('\t');
  });
});

describe('leaving with a suspended request', () => {
  it.each([['quit\r'], ['close\r'], ['c\r'], [ctrlD]])('by %j asks first', async (way) => {
    const { screen, type, exit } = await start(onBlkdebug);
    type('break pwritev A\rwrite 0 4k\r');
    await screen.until('blkscope [1 suspended]> ');
    type(way);
    await screen.until('1 request is suspended; leave and cancel it? [y/N] ');
    type('\r');
    await screen.until('blkscope [1 suspended]> ');
    type(way);
    await screen.until('[y/N] ');
    type('yonder\r');
    await screen.until('blkscope [1 suspended]> ');
    type(way);
    await screen.until('[y/N] ');
    type('y\r');
    await screen.until("cancelled: 'A'");
    if (way.startsWith('c')) {
      await screen.until('blkscope> ');
      type(ctrlD);
    }
    expect(await exit).toMatchObject({ exitCode: 1 });
  });
});

describe('Ctrl-\\', () => {
  it('ends the program as SIGQUIT does, after the image was closed', async () => {
    const { screen, type, exit } = await start(['-f', 'raw', 'a.img']);
    type('sleep 1000000\r');
    await screen.until('sleep 1000000');
    type('\x1c');
    expect(await exit).toMatchObject({ signal: 3 });
  });
});

describe('history', () => {
  it('is searched by Ctrl-R, gives last words by Alt-., and is listed', async () => {
    const { screen, type, exit } = await start(['-f', 'raw', 'a.img']);
    type('read -q 0 4k\rlength\rread -q 0 512\r');
    await screen.until('read -q 0 512');
    await screen.until('blkscope> ');
    type('\x124k');
    await screen.until("(reverse-i-search)'4k': read -q 0 4k");
    type('\x07length \x1b.');
    await screen.until('length 512');
    type('\x1b.');
    await screen.until('length length');
    type('\x15history 2\r');
    await screen.until('read -q 0 512\r\nhistory 2\r\n');
    type(ctrlD);
    expect(await exit).toMatchObject({ exitCode: 0 });
  });

  it('is kept from one session to the next', async () => {
    const first = await start(['-f', 'raw', 'a.img']);
    first.type('length\r');
    await first.screen.until('1 MiB');
    first.type(ctrlD);
    await first.exit;
    expect(readFileSync(history, 'utf8')).toBe('length\n');

    const second = await start(['-f', 'raw', 'a.img']);
    second.type(up);
    await second.screen.until('length');
    second.type('\r');
    await second.screen.until('1 MiB');
    second.type(ctrlD);
    await second.exit;
  });

  it('that cannot be kept is no trouble', async () => {
    const { screen, type, exit } = await start(['-f', 'raw', 'a.img'], { XDG_STATE_HOME: '/dev/null' });
    type('length\r');
    await screen.until('1 MiB');
    type(ctrlD);
    expect(await exit).toMatchObject({ exitCode: 0 });
    expect(existsSync(history)).toBe(false);
  });
});
