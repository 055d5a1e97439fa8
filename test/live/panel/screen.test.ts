/** Panel and shell on one screen: scroll region, resizes, output. */
import { describe, expect, it } from 'vitest';
import { EventHistory } from '../../../src/block/events/history.ts';
import { Event } from '../../../src/block/events/events.ts';
import { LivePanel } from '../../../src/live/panel/live-panel.ts';
import { panelRows } from '../../../src/live/panel/panel.ts';
import type { Snapshot } from '../../../src/live/snapshot.ts';
import { Screen } from '../../../src/live/panel/screen.ts';
import { unpainted } from '../../../src/util/style.ts';
import { emptySnapshot, snapshot } from './snapshots.ts';
import { VirtualTerminal } from './virtual-terminal.ts';

const panelOf = (rows: number): string[] => Array.from({ length: rows }, (_, row) => `PANEL ${row}`.padEnd(40, '.'));

/** A shell on a terminal with a panel above it. */
class Shell {
  readonly terminal: VirtualTerminal;
  readonly screen: Screen;

  constructor(columns: number, rows: number) {
    this.terminal = new VirtualTerminal(columns, rows);
    this.screen = new Screen(this.terminal.write, { columns, rows });
  }

  print(text: string): void {
    const { before, after } = this.screen.passage();
    this.terminal.write(before + text.replaceAll('\n', '\r\n') + after);
  }
}

describe('the panel above a shell', () => {
  it('moves what is on the screen down, and the cursor with it', async () => {
    const shell = new Shell(40, 12);
    shell.print('one\ntwo\nprompt> ty');
    shell.screen.show(panelOf(4));
    await shell.terminal.settle();
    expect(shell.terminal.screen.slice(0, 8)).toEqual([...panelOf(4), 'one', 'two', 'prompt> ty', '']);
    expect(shell.terminal.cursor).toEqual([10, 6]);
    expect(shell.terminal.scrollback).toEqual([]);
  });

  it('pushes what has no room into the scrollback when it appears at the bottom of a full screen', async () => {
    const shell = new Shell(40, 10);
    shell.print(`${Array.from({ length: 9 }, (_, at) => `line ${at}`).join('\n')}\nprompt> `);
    shell.screen.show(panelOf(4));
    await shell.terminal.settle();
    expect(shell.terminal.screen).toEqual([...panelOf(4), 'line 4', 'line 5', 'line 6', 'line 7', 'line 8', 'prompt>']);
    expect(shell.terminal.scrollback).toEqual(['line 0', 'line 1', 'line 2', 'line 3']);
    expect(shell.terminal.cursor).toEqual([8, 9]);
  });

  it('output longer than the screen scrolls into the scrollback whole and in order, below the panel', async () => {
    const shell = new Shell(40, 12);
    shell.print('start\n');
    shell.screen.show(panelOf(4));
    const lines = Array.from({ length: 100 }, (_, at) => `line ${at}`);
    for (const line of lines.slice(0, 50)) shell.print(`${line}\n`);
    shell.print(`${lines.slice(50).join('\n')}\n`);
    await shell.terminal.settle();
    expect(shell.terminal.screen.slice(0, 4)).toEqual(panelOf(4));
    const text = [...shell.terminal.scrollback, ...shell.terminal.screen.slice(4)];
    expect(text).toEqual(['start', ...lines, '']);
  });

  it('text in parts of a line stays in its line', async () => {
    const shell = new Shell(40, 8);
    shell.screen.show(panelOf(3));
    for (const piece of ['a', 'bc', 'def\n', 'g', 'h']) shell.print(piece);
    await shell.terminal.settle();
    expect(shell.terminal.screen.slice(3, 5)).toEqual(['abcdef', 'gh']);
    expect(shell.terminal.cursor).toEqual([2, 4]);
  });

  it('typing at the bottom scrolls the shell and leaves the panel alone', async () => {
    const shell = new Shell(40, 8);
    shell.screen.show(panelOf(3));
    // Not through `passage`: what readline echoes.
    for (let at = 0; at < 20; at += 1) shell.terminal.write(`> typed ${at}\r\n`);
    await shell.terminal.settle();
    expect(shell.terminal.screen.slice(0, 3)).toEqual(panelOf(3));
    expect(shell.terminal.screen.slice(3)).toEqual(['> typed 16', '> typed 17', '> typed 18', '> typed 19', '']);
  });

  it('a drawing changes neither the cursor nor its colour, and writes changed lines only', async () => {
    const shell = new Shell(40, 8);
    shell.screen.show(panelOf(3));
    shell.print('\x1b[31mred');
    const from = shell.terminal.written.length;
    shell.screen.show(panelOf(3).with(1, 'OTHER'.padEnd(40)));
    const drawn = shell.terminal.written.slice(from);
    expect(drawn).toContain('OTHER');
    expect(drawn).not.toContain('PANEL');
    await shell.terminal.settle();
    expect(shell.terminal.cursor).toEqual([3, 3]);
    expect(shell.terminal.screen[1]).toBe('OTHER');
    shell.screen.show(panelOf(3).with(1, 'OTHER'.padEnd(40)));
    expect(shell.terminal.written.length).toBe(from + drawn.length);
  });

  it('more or fewer rows move the shell', async () => {
    const shell = new Shell(40, 10);
    shell.print('one\nprompt> ');
    for (const rows of [3, 6, 1, 4]) {
      shell.screen.show(panelOf(rows));
      await shell.terminal.settle();
      expect(shell.terminal.screen.slice(0, rows + 2)).toEqual([...panelOf(rows), 'one', 'prompt>']);
    }
  });

  it('gives the screen back: no panel, no scroll region, no attributes', async () => {
    for (const leave of ['hide', 'restore'] as const) {
      const shell = new Shell(40, 6);
      shell.print('one\ntwo\n');
      shell.screen.show(panelOf(3));
      shell.print('three\nprompt> ');
      if (leave === 'hide') shell.screen.hide();
      else shell.terminal.write(shell.screen.restore());
      shell.terminal.write('\r\nfour\r\nfive\r\nsix');
      await shell.terminal.settle();
      const text = [...shell.terminal.scrollback, ...shell.terminal.screen];
      expect(text).toEqual(['one', 'two', 'three', 'prompt>', 'four', 'five', 'six']);
      expect(shell.screen.isShown).toBe(false);
      // A second time takes nothing more away.
      expect(shell.screen.restore()).not.toContain('M');
    }
  });
});

/** Time that passes when it is told to, and timers on it. */
class Timers {
  nowMs = 0;
  #pending: { atMs: number; callback: () => void }[] = [];

  readonly after = (delayMs: number, callback: () => void): (() => void) => {
    const entry = { atMs: this.nowMs + delayMs, callback };
    this.#pending.push(entry);
    return () => {
      this.#pending = this.#pending.filter((other) => other !== entry);
    };
  };

  get count(): number {
    return this.#pending.length;
  }

  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const [next] = this.#pending.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#pending = this.#pending.filter((other) => other !== next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.callback();
    }
    this.nowMs = endMs;
  }
}

function livePanel(write: (text: string) => void, size = { columns: 100, rows: 24 }) {
  const timers = new Timers();
  const nowNs = (): number => timers.nowMs * 1e6;
  const history = new EventHistory();
  const current: { snapshot: Snapshot } = { snapshot: emptySnapshot };
  let snapshots = 0;
  const panel = new LivePanel({
    history,
    nowNs,
    write,
    size,
    paint: unpainted,
    after: timers.after,
    snapshot: () => {
      snapshots += 1;
      return { ...current.snapshot, timeNs: nowNs() };
    },
  });
  const fire = (): void => history.add(Event.PWRITEV, null, 'debug', true);
  return { panel, fire, timers, current, snapshots: () => snapshots };
}

describe('following the history', () => {
  it('a burst of events is one drawing; at most 30 in a second', () => {
    let writes = 0;
    const { panel, fire, timers, snapshots } = livePanel(() => {
      writes += 1;
    });
    panel.start();
    expect(writes).toBe(1);
    timers.advance(1000);
    for (let at = 0; at < 5000; at += 1) fire();
    timers.advance(0);
    expect(writes).toBe(2);
    for (let ms = 0; ms < 1000; ms += 1) {
      fire();
      timers.advance(1);
    }
    expect(writes - 2).toBeLessThanOrEqual(30);
    expect(writes - 2).toBeGreaterThan(20);
    expect(snapshots()).toBe(writes);
  });

  it('nothing is drawn, and no timer runs, while nothing changes', () => {
    let writes = 0;
    const { panel, timers } = livePanel(() => {
      writes += 1;
    });
    panel.start();
    timers.advance(60_000);
    expect(writes).toBe(1);
    expect(timers.count).toBe(0);
  });

  it('the age of a suspended request ticks', () => {
    let text = '';
    const { panel, timers, current } = livePanel((written) => {
      text += written;
    });
    current.snapshot = { ...snapshot, suspended: snapshot.suspended.map((one) => ({ ...one, sinceNs: 0 })) };
    panel.start();
    timers.advance(2000);
    expect(text).toContain('1.9s');
    text = '';
    timers.advance(60_000);
    expect(text).toContain('42s');
    panel.stop();
    expect(timers.count).toBe(0);
  });

  it('is not woken while it is off', () => {
    const { panel, fire, timers } = livePanel(() => {});
    fire();
    expect(timers.count).toBe(0);
    panel.start();
    timers.advance(1000);
    fire();
    expect(timers.count).toBe(1);
    panel.stop();
    fire();
    expect(timers.count).toBe(0);
    panel.start();
    expect(panel.restore()).not.toBe('');
    fire();
    expect(timers.count).toBe(0);
    expect(panel.restore()).toBe('');
  });
});

describe('a session on a terminal', () => {
  function session(columns: number, rows: number) {
    const terminal = new VirtualTerminal(columns, rows);
    const live = livePanel(terminal.write, { columns, rows });
    live.current.snapshot = snapshot;
    const print = (text: string): void => {
      const { before, after } = live.panel.passage(text);
      terminal.write(before + text.replaceAll('\n', '\r\n') + after);
    };
    const prompt = 'blkscope> ';
    const resize = (newColumns: number, newRows: number): void => {
      terminal.resize(newColumns, newRows);
      live.panel.resize({ columns: newColumns, rows: newRows });
      // The shell draws its prompt again.
      terminal.write(prompt);
    };
    return { terminal, print, prompt, resize, ...live };
  }

  it('shows the panel, and below it the shell, also after it was resized in both directions', async () => {
    const { terminal, panel, print, prompt, resize } = session(100, 24);
    print(`first\nsecond\n`);
    panel.start();
    terminal.write(prompt);
    for (const [columns, rows] of [
      [140, 40],
      [80, 20],
      [62, 16],
      [100, 30],
    ] as const) {
      resize(columns, rows);
      await terminal.settle();
      const height = panelRows(columns, rows);
      const { screen } = terminal;
      expect(screen[0]).toMatch(/^┌ blkscope/);
      expect(screen[height - 1]).toMatch(/^└─+┘$/);
      expect(screen.slice(height, height + 3)).toEqual(['first', 'second', 'blkscope>']);
      expect(screen.filter((line) => line.startsWith('┌'))).toHaveLength(1);
      expect(terminal.cursor).toEqual([prompt.length, height + 2]);
    }
  });

  it('folds into a line on a small terminal, and goes away on a tiny one', async () => {
    const { terminal, panel, print, prompt, resize } = session(100, 24);
    print('before\n');
    panel.start();
    terminal.write(prompt);
    resize(50, 12);
    await terminal.settle();
    expect(terminal.screen[0]).toMatch(/state 2 ── ■ A w4/);
    expect(terminal.screen.slice(1, 3)).toEqual(['before', 'blkscope>']);
    resize(20, 4);
    await terminal.settle();
    expect(terminal.screen.slice(0, 2)).toEqual(['before', 'blkscope>']);
    resize(100, 24);
    await terminal.settle();
    expect(terminal.screen[0]).toMatch(/^┌ blkscope/);
  });

  it('after a resize as many of the latest lines are there as fit', async () => {
    const { terminal, panel, print, resize } = session(100, 24);
    panel.start();
    print(Array.from({ length: 60 }, (_, at) => `line ${at}\n`).join(''));
    resize(100, 20);
    await terminal.settle();
    const height = panelRows(100, 20);
    expect(terminal.screen.slice(height).at(-1)).toBe('blkscope>');
    expect(terminal.screen.slice(height, -1)).toEqual(
      Array.from({ length: 20 - height - 1 }, (_, at) => `line ${60 - (20 - height - 1) + at}`),
    );
  });

  it('colours in the shell\u2019s text take no room', async () => {
    const { terminal, panel, print, resize } = session(100, 24);
    panel.start();
    for (let at = 0; at < 30; at += 1) print(`\x1b[36m${'c'.repeat(96)}\x1b[39m\n`);
    resize(100, 20);
    await terminal.settle();
    const height = panelRows(100, 20);
    expect(terminal.screen.slice(height).filter((line) => line.startsWith('c'))).toHaveLength(20 - height - 1);
  });

  it('a screen that somebody wrote over has the panel again', async () => {
    const { terminal, panel, print } = session(100, 24);
    panel.start();
    print('text\n');
    terminal.write('\x1b[H\x1b[J');
    panel.clear();
    terminal.write('blkscope> ');
    await terminal.settle();
    expect(terminal.screen[0]).toMatch(/^┌ blkscope/);
    expect(terminal.screen[panelRows(100, 24)]).toBe('blkscope>');
    expect(terminal.screen.join('\n')).not.toContain('text');
  });

  it('lines that are typed stay in the scrollback, and Ctrl-L clears below the panel', async () => {
    const { terminal, panel, prompt } = session(100, 20);
    panel.start();
    const typed = Array.from({ length: 30 }, (_, at) => `${prompt}read ${at}k 1k`);
    for (const line of typed) {
      const { before, after } = panel.passage('');
      terminal.write(`${line}${before}\r\n${after}`);
    }
    await terminal.settle();
    const height = panelRows(100, 20);
    expect([...terminal.scrollback, ...terminal.screen.slice(height)]).toEqual([...typed, '']);
    terminal.write(`\x1b[${height + 1};1H\x1b[J${prompt}`);
    await terminal.settle();
    expect(terminal.screen[0]).toMatch(/^┌ blkscope/);
    expect(terminal.screen.slice(height, height + 2)).toEqual(['blkscope>', '']);
  });

  it('events that arrive while somebody types leave the line alone', async () => {
    const { terminal, panel, fire, timers, prompt } = session(100, 24);
    panel.start();
    terminal.write(prompt);
    for (const key of 'write 0 4k') {
      terminal.write(key);
      fire();
      timers.advance(50);
    }
    await terminal.settle();
    const height = panelRows(100, 24);
    expect(terminal.screen[height]).toBe('blkscope> write 0 4k');
    expect(terminal.cursor).toEqual([20, height]);
    expect(terminal.screen[2]).toMatch(/#10 +pwritev/);
  });
});
