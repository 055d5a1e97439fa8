/** The terminal goes away, at any point: the image is closed in order, the recording ends, and SIGHUP is the status. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { spawn } from '@lydell/node-pty';
import { beforeEach, describe, expect, it } from 'vitest';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { nodePrograms } from '../helpers/node-programs.ts';
import { blkscope, plainEnvironment } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { Transcript } from './live-program.ts';

const folder = useFolder();
const image = path.join(folder, 'disk.qcow2');
const recording = path.join(folder, 'run.ndjson');
/** 128 and the number of the signal. */
const SIGHUP = 129;
let started = 0;

beforeEach(() => {
  writeFileSync(image, makeImage({ lazyRefcounts: true }));
});

interface OnTerminal {
  readonly screen: Transcript;
  readonly type: (text: string) => void;
  /** Closes the terminal's other side, as a window that is closed does. */
  readonly hangUp: () => void;
  /** The status that a shell sees. */
  readonly exit: () => Promise<number>;
}

function start(node: string, words: readonly string[], env: NodeJS.ProcessEnv = {}): OnTerminal {
  // The library tells no status after its side is closed: a shell that survives writes it to a file.
  started += 1;
  const status = path.join(folder, `status-${started}`);
  const script = 'trap : HUP; out=$1; shift; "$@"; echo $? >"$out.new"; mv "$out.new" "$out"';
  const pty = spawn('sh', ['-c', script, 'sh', status, node, ...blkscope.args, ...words], {
    cwd: folder,
    cols: 100,
    rows: 30,
    env: {
      ...plainEnvironment(),
      TERM: 'xterm',
      NO_COLOR: '1',
      XDG_STATE_HOME: folder,
      XDG_CONFIG_HOME: folder,
      ...env,
    },
  });
  const screen = new Transcript();
  pty.onData((text) => screen.add(text));
  const exit = async (): Promise<number> => {
    while (!existsSync(status)) await setTimeout(10);
    return Number(readFileSync(status, 'utf8'));
  };
  const hangUp = (): void => (pty as unknown as { destroy: () => void }).destroy();
  return { screen, type: (text) => pty.write(text), hangUp, exit };
}

/** Whether the image was closed: the bit that says that refcounts may be wrong is gone. */
const isClosed = (): boolean => (readFileSync(image).readUInt8(79) & 1) === 0;

const session = ['--record', recording, '-t', 'writeback', '-f', 'qcow2', `blkdebug::${image}`];

/** Points at which the terminal goes, after a write that was acknowledged. */
const points: Readonly<Record<string, (program: OnTerminal) => Promise<void>>> = {
  'the prompt': async () => {},
  'a half-typed line': async ({ type, screen }) => {
    type('leng');
    await screen.until('leng');
  },
  'a search of the history': async ({ type, screen }) => {
    type('\x12wri');
    await screen.until('wri');
  },
  'the panel': async ({ type, screen }) => {
    type('live on\r');
    await screen.until('SUSPENDED');
  },
  'a command that waits': async ({ type, screen }) => {
    type('sleep 1000000\r');
    await screen.until('sleep 1000000');
  },
  'a suspended request': async ({ type, screen }) => {
    type('break pwritev A\rwrite 64k 4k\r');
    await screen.until('"resume A"');
    await screen.until('> ');
  },
  'the question before leaving': async ({ type, screen }) => {
    type('break pwritev A\rwrite 64k 4k\rquit\r');
    await screen.until('[y/N] ');
  },
  'a command that prints': async ({ type, screen }) => {
    type('read -v 0 256k\r');
    await screen.until('00000100:');
  },
};

describe.each(nodePrograms)('with Node %s, a terminal that goes', (_, node) => {
  it.each(Object.keys(points))('at %s', async (point) => {
    const program = start(node, session);
    await program.screen.until('blkscope> ');
    program.type('write -P 7 0 64k\r');
    await program.screen.until('wrote 65536/65536');
    await program.screen.until('blkscope> ');
    expect(isClosed()).toBe(false);
    await points[point]?.(program);
    program.hangUp();
    expect(await program.exit()).toBe(SIGHUP);
    expect(isClosed()).toBe(true);
    expect(JSON.parse(readFileSync(recording, 'utf8').trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
      kind: 'end',
    });
    const check = start(node, ['-r', '-c', 'read -P 7 0 64k', image]);
    await check.screen.until('read 65536/65536');
    expect(await check.exit()).toBe(0);
  });

  it('after Ctrl-Z', async () => {
    const program = start(node, session);
    await program.screen.until('blkscope> ');
    program.type('write -P 7 0 64k\r');
    await program.screen.until('blkscope> ');
    program.type('\x1a');
    await program.screen.until('blkscope> ');
    program.hangUp();
    expect(await program.exit()).toBe(SIGHUP);
    expect(isClosed()).toBe(true);
  });

  it('below attach', async () => {
    const watched = start(node, ['--monitor', path.join(folder, 'socket'), image]);
    await watched.screen.until('blkscope> ');
    const program = start(node, ['attach', path.join(folder, 'socket')]);
    await program.screen.until('? keys');
    program.hangUp();
    expect(await program.exit()).toBe(SIGHUP);
    watched.type('length\r');
    await watched.screen.until('1 MiB');
    watched.hangUp();
    expect(await watched.exit()).toBe(SIGHUP);
  });
});
