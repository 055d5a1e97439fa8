/**
 * Random sessions on a terminal: commands, half lines, Tabs, searches, Ctrl-C, Ctrl-U, Ctrl-L, resizes, bytes that are
 * not UTF-8. After each of them a line that is typed is answered. `SEED` chooses others, `SESSIONS` how many.
 */
import { truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { spawn } from '@lydell/node-pty';
import { expect, it } from 'vitest';
import { blkscope, plainEnvironment } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';

const folder = useFolder();
const seed = Number(process.env.SEED ?? 20261128);
const sessions = Number(process.env.SESSIONS ?? 500);
/** A new process for so many sessions. */
const PER_PROCESS = 50;
const ANSWER_MS = 20_000;

/** A generator of numbers below a limit (mulberry32). */
function numbers(start: number): (limit: number) => number {
  let state = start;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

const lines = [
  'length',
  'write -q 0 4k',
  'read -q 0 64k',
  'break pwritev A',
  'write 0 512',
  'aio_write 4k 4k',
  'resume A',
]
  .concat([
    'rules',
    'suspended',
    'sleep 1000000',
    'sleep 3',
    'map',
    'live on',
    'live off',
    'help',
    'nosuch',
    'history 3',
  ])
  .concat(['remove_break A', 'aio_flush', 'wait_break A', 'read -v 0 512', 'source nosuch', 'events', 'state', 'info']);
const keys = [
  '\t',
  '\t\t',
  '\x12wr',
  '\x12\x12',
  '\x1b.',
  '\x15',
  '\x17',
  '\x0c',
  '\x1b[A',
  '\x1b[B',
  '\x1b[D',
  '\x01',
  '\x05',
].concat([
  '\x0b',
  '\x7f',
  'wri',
  ' ',
  'é漢',
  '\x1b',
  '\x07',
  'a long line that fills more than a row of a narrow terminal '.repeat(3),
]);

type Step = string | Buffer | { readonly columns: number; readonly rows: number };

function sessionOf(random: (limit: number) => number): Step[] {
  return Array.from({ length: 1 + random(12) }, (): Step => {
    const kind = random(10);
    if (kind < 4) return `${lines[random(lines.length)] ?? ''}\r`;
    if (kind < 7) return keys[random(keys.length)] ?? '';
    if (kind === 7) return { columns: 10 + random(150), rows: 3 + random(50) };
    // Alone on an empty line it would be a way out.
    if (kind === 8) return 'x\x03';
    return Buffer.from([0xff, 0xc3, 0x28, 0x80 + random(64)]);
  });
}

class Program {
  text = '';
  isOver = false;
  readonly pty;
  news: () => void = () => {};

  constructor() {
    this.pty = spawn(blkscope.command, [...blkscope.args, '-f', 'raw', 'blkdebug::image'], {
      cwd: folder,
      cols: 80,
      rows: 24,
      env: { ...plainEnvironment(), TERM: 'xterm', NO_COLOR: '1', XDG_STATE_HOME: folder, XDG_CONFIG_HOME: folder },
    });
    this.pty.onData((text) => {
      this.text += text;
      this.news();
    });
    this.pty.onExit(() => {
      this.isOver = true;
      this.news();
    });
  }

  /** Whether the text comes, from a place on. */
  async says(text: string, from: number): Promise<boolean> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.news();
    }, ANSWER_MS);
    while (!this.text.includes(text, from) && !this.isOver && !isLate) {
      await new Promise<void>((resolve) => {
        this.news = resolve;
      });
    }
    clearTimeout(timer);
    return this.text.includes(text, from);
  }
}

it(
  `each of ${sessions} sessions gets its answer after Ctrl-C`,
  async () => {
    writeFileSync(path.join(folder, 'image'), '');
    truncateSync(path.join(folder, 'image'), 1 << 20);
    let program: Program | null = null;
    for (let number = 0; number < sessions; number += 1) {
      if (number % PER_PROCESS === 0) {
        program?.pty.kill('SIGKILL');
        program = new Program();
        expect(await program.says('blkscope> ', 0)).toBe(true);
      }
      if (program === null) continue;
      const steps = sessionOf(numbers(seed + number));
      for (const step of steps) {
        if (typeof step === 'object' && 'columns' in step) program.pty.resize(step.columns, step.rows);
        else program.pty.write(step as string);
        if (number % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      const from = program.text.length;
      program.pty.resize(80, 24);
      program.pty.write(`x\x03probe${number}\r`);
      const said = await program.says(`command "probe${number}" not found`, from);
      expect(said, `session ${number} of seed ${seed}: ${JSON.stringify(steps)}\n${program.text.slice(-400)}`).toBe(
        true,
      );
    }
    program?.pty.kill('SIGKILL');
  },
  10 * 60_000,
);
