/** The line being typed on a terminal without a window: what stands there after each key, below a panel and without. */
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { type LineTerminal, MovableLine, PrintedLine, type TypedText } from '../../src/cli/typed-line.ts';
import { Screen } from '../../src/live/panel/screen.ts';
import { Chance } from '../../src/search/chance.ts';
import { VirtualTerminal } from '../live/panel/virtual-terminal.ts';

const PANEL_ROWS = 4;
const PROMPT = '\x1b[36mblkscope>\x1b[39m ';
const BARE = stripVTControlCharacters(PROMPT);

/** A terminal with a typed line, and all rows that are to be seen on it. */
class Typing {
  readonly terminal: VirtualTerminal;
  readonly line: MovableLine;
  readonly #screen: Screen;
  readonly #panelRows: number;
  #columns: number;
  #rows: number;
  /** The rows above the line. */
  #above: string[] = [];
  text: TypedText = { prompt: PROMPT, line: '', cursor: 0 };

  constructor(columns: number, rows: number, hasPanel: boolean) {
    this.#columns = columns;
    this.#rows = rows;
    this.#panelRows = hasPanel ? PANEL_ROWS : 0;
    this.terminal = new VirtualTerminal(columns, rows);
    this.#screen = new Screen(this.terminal.write, { columns, rows });
    if (hasPanel) this.#screen.show(Array.from({ length: PANEL_ROWS }, () => '='.repeat(columns)));
    const { terminal } = this;
    const screen = this.#screen;
    const size = (): LineTerminal['size'] => ({ columns: this.#columns, rows: this.height });
    const lineTerminal: LineTerminal = {
      get size() {
        return size();
      },
      write: (text) => terminal.write(text),
      writeScrolling(text) {
        const { before, after } = screen.passage();
        terminal.write(before + text + after);
      },
    };
    this.line = new MovableLine(lineTerminal);
    this.show('');
  }

  get height(): number {
    return this.#rows - this.#panelRows;
  }

  show(line: string, cursor = line.length): void {
    this.text = { prompt: PROMPT, line, cursor };
    this.line.show(this.text);
  }

  /** Return. */
  end(): void {
    this.show(this.text.line);
    this.line.end();
    this.#above.push(...this.#broken());
    this.show('');
  }

  /** Output that comes meanwhile. */
  print(row: string): void {
    this.line.takeAway();
    const { before, after } = this.#screen.passage();
    this.terminal.write(`${before}${row}\r\n${after}`);
    this.#above.push(row);
    this.line.show(this.text);
  }

  widen(columns: number): void {
    this.terminal.resize(columns, this.#rows);
    this.#columns = columns;
    this.line.reflow();
    this.line.show(this.text);
  }

  #broken(): string[] {
    const whole = BARE + this.text.line;
    const rows: string[] = [];
    for (let at = 0; at < whole.length; at += this.#columns) rows.push(whole.slice(at, at + this.#columns).trimEnd());
    return rows;
  }

  async check(context: string): Promise<void> {
    await this.terminal.settle();
    const { scrollback, screen, cursor } = this.terminal;
    const panel = screen.slice(0, this.#panelRows);
    expect(
      panel.every((row) => /^=+$/.test(row)),
      context,
    ).toBe(true);
    const rows = this.#broken();
    const cells = BARE.length + this.text.cursor;
    const cursorRow = Math.floor(cells / this.#columns);
    // Behind a full row the cursor is on the next one.
    const rowCount = Math.max(rows.length, Math.floor((BARE.length + this.text.line.length) / this.#columns) + 1);
    const seen = screen.slice(this.#panelRows);
    const [x, y] = cursor;
    expect(x, context).toBe(cells % this.#columns);
    if (rowCount > this.height) {
      // Those around the cursor.
      const first = cursorRow - (y - this.#panelRows);
      const wanted = Array.from({ length: this.height }, (_, at) => rows[first + at] ?? '');
      expect(seen, context).toEqual(wanted);
      return;
    }
    const all = [...scrollback, ...seen];
    const end = all.findLastIndex((row) => row !== '') + 1;
    expect(all.slice(0, end), context).toEqual([...this.#above, ...rows]);
    expect(y + scrollback.length - this.#panelRows, context).toBe(this.#above.length + cursorRow);
  }
}

const sizes: readonly [number, number][] = [
  [60, 15],
  [80, 24],
  [200, 50],
];
const kinds = sizes.flatMap(([columns, rows]) => [false, true].map((hasPanel) => ({ columns, rows, hasPanel })));

describe.each(kinds)('a typed line at $columns x $rows, panel $hasPanel', ({ columns, rows, hasPanel }) => {
  it('that reaches the last column leaves no empty row', async () => {
    const typing = new Typing(columns, rows, hasPanel);
    for (let line = 0; line < rows; line += 1) {
      const full = 'x'.repeat(columns * (1 + (line % 3)) - BARE.length);
      for (const way of ['a key each', 'pasted']) {
        if (way === 'pasted') typing.show(full);
        else for (let at = full.length - 3; at <= full.length; at += 1) typing.show(full.slice(0, at));
        await typing.check(`${way}, ${full.length} characters`);
        typing.end();
        await typing.check(`${way}, behind ${full.length} characters`);
      }
    }
  });

  it('of several rows goes whole with Ctrl-U, and is changed near its start', async () => {
    const typing = new Typing(columns, rows, hasPanel);
    for (let line = 0; line < rows; line += 1) {
      const long = 'y'.repeat(2 * columns + 7);
      typing.show('y'.repeat(columns));
      typing.show(long);
      typing.show(long, 0);
      typing.show(`Q${long}`, 1);
      await typing.check(`line ${line}, a character at its start`);
      typing.show(`${long}`, long.length);
      typing.show('');
      await typing.check(`line ${line}, empty again`);
      typing.show('read');
      typing.end();
    }
  });

  it('looks as it should after any keys, outputs and lines', async () => {
    const random = new Chance(columns + (hasPanel ? 1 : 0));
    const typing = new Typing(columns, rows, hasPanel);
    const lengths = [1, 1, 7, columns - 1, columns, 3 * columns, typing.height * columns];
    for (let step = 0; step < 200; step += 1) {
      const { line } = typing.text;
      const at = random.below(line.length + 1);
      const text = 'z'.repeat(lengths[random.below(lengths.length)] ?? 1);
      const actions: readonly (() => void)[] = [
        () => typing.show(line + text),
        () => typing.show(line.slice(0, at) + text + line.slice(at), at + text.length),
        () => typing.show(line, at),
        () => typing.show(line.slice(at), 0),
        () => typing.show(line.slice(0, at)),
        () => typing.show(line.slice(0, typing.height * columns)),
        () => typing.print(`output ${step}`),
        () => typing.end(),
      ];
      actions[random.below(actions.length)]?.();
      await typing.check(`step ${step}`);
    }
  });
});

describe('a typed line', () => {
  it('is drawn in the new rows of a terminal of another width', async () => {
    const typing = new Typing(60, 24, false);
    typing.show('w'.repeat(200));
    for (const columns of [80, 41, 200, 33]) {
      typing.widen(columns);
      await typing.check(`${columns} columns`);
    }
  });

  it('breaks its rows before a wide character that does not fit', async () => {
    const typing = new Typing(20, 10, false);
    typing.show(`${'a'.repeat(9)}\u65e5\u672c`);
    await typing.terminal.settle();
    expect(typing.terminal.screen.slice(0, 2)).toEqual([`blkscope> ${'a'.repeat(9)}`, '\u65e5\u672c']);
    typing.show('');
    await typing.terminal.settle();
    expect(typing.terminal.screen.slice(0, 2)).toEqual(['blkscope>', '']);
  });

  it('sends a key at its end as that alone', () => {
    const typing = new Typing(60, 15, true);
    typing.show('read');
    const before = typing.terminal.written.length;
    typing.show('reads');
    expect(typing.terminal.written.slice(before)).toBe('s');
  });
});

describe('a line on a terminal that can only print', () => {
  const make = (): { line: PrintedLine; terminal: VirtualTerminal } => {
    const terminal = new VirtualTerminal(60, 15);
    const line = new PrintedLine({
      size: { columns: 60, rows: 15 },
      write: (text) => terminal.write(text.replaceAll('\n', '\r\n')),
      writeScrolling: (text) => terminal.write(text.replaceAll('\n', '\r\n')),
    });
    return { line, terminal };
  };
  const prompt = 'qemu-io> ';

  it('is corrected by going back, without a code', async () => {
    const { line, terminal } = make();
    const states: readonly (readonly [line: string, cursor: number])[] = [
      ['', 0],
      ['lenx', 4],
      ['len', 3],
      ['lengt', 5],
      ['lengt', 0],
      ['length', 6],
      ['Xlength', 1],
      ['write -P 1 0 4k', 15],
      ['wr', 2],
    ];
    for (const [text, cursor] of states) {
      line.show({ prompt, line: text, cursor });
      await terminal.settle();
      expect(terminal.screen[0]).toBe((prompt + text).trimEnd());
      expect(terminal.cursor).toEqual([prompt.length + cursor, 0]);
    }
    line.end();
    expect(terminal.written).not.toContain('\x1b');
  });

  it('is printed anew where it has several rows', async () => {
    const { line, terminal } = make();
    line.show({ prompt, line: 'x'.repeat(80), cursor: 80 });
    line.show({ prompt, line: 'x'.repeat(79), cursor: 79 });
    await terminal.settle();
    expect(terminal.screen.slice(0, 4).map((row) => row.length)).toEqual([60, 29, 60, 28]);
  });
});
