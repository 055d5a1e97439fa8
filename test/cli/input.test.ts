/** Standard input as lines: files, pipes, devices, and input that stops. */
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openInput, type StoppableSource } from '../../src/cli/input.ts';
import { useFolder } from '../helpers/sandbox.ts';

const folder = useFolder();

async function linesOf(source: StoppableSource): Promise<string[]> {
  const lines: string[] = [];
  for (let line = await source.next(); line !== null; line = await source.next()) lines.push(line);
  return lines;
}

async function linesOfFile(content: string | Buffer): Promise<string[]> {
  const file = path.join(folder, 'script');
  writeFileSync(file, content);
  const fd = openSync(file, 'r');
  try {
    return await linesOf(openInput(fd));
  } finally {
    closeSync(fd);
  }
}

describe('a file', () => {
  it('gives lines, the last one with or without its newline', async () => {
    expect(await linesOfFile('a\n\n b \n')).toEqual(['a', '', ' b ']);
    expect(await linesOfFile('a\nb')).toEqual(['a', 'b']);
    expect(await linesOfFile('')).toEqual([]);
    expect(await linesOfFile('\n')).toEqual(['']);
  });

  it('gives lines longer than what is read at once', async () => {
    const long = 'x'.repeat(600_000);
    expect(await linesOfFile(`a\n${long}\nb\n${long}`)).toEqual(['a', long, 'b', long]);
  });

  it('keeps characters whole that lie across two reads', async () => {
    const text = `a${'é'.repeat(300_000)}`;
    expect(await linesOfFile(`${text}\n${text}`)).toEqual([text, text]);
  });

  it('leaves NUL bytes to whoever cuts lines into words', async () => {
    expect(await linesOfFile('len\0gth\nlength\nle\0')).toEqual(['len\0gth', 'length', 'le\0']);
  });

  it('that is a folder is empty', async () => {
    const fd = openSync(folder, 'r');
    expect(await linesOf(openInput(fd))).toEqual([]);
    closeSync(fd);
  });

  it('that is no open descriptor is empty', async () => {
    expect(await linesOf(openInput(987_654))).toEqual([]);
  });
});

/** Lets the event loop look at all descriptors once. */
async function turn(): Promise<void> {
  await new Promise(setImmediate);
  await new Promise(setImmediate);
}

let pipeCount = 0;

/** A pipe: its reading end as a source, and how to write to it and to close it. */
async function makePipe(): Promise<{
  source: StoppableSource;
  writer: number;
  write: (text: string) => void;
  end: () => void;
}> {
  pipeCount += 1;
  const file = path.join(folder, `pipe-${pipeCount}`);
  execFileSync('mkfifo', [file]);
  // Opened for both, so that it does not wait for the other end.
  const keeper = openSync(file, 'r+');
  const reader = openSync(file, 'r');
  const writer = openSync(file, 'w');
  closeSync(keeper);
  return {
    source: openInput(reader),
    writer,
    write: (text) => {
      writeSync(writer, text);
    },
    end: () => closeSync(writer),
  };
}

describe('a pipe', () => {
  it('gives all lines of one write at once, then waits', async () => {
    const { source, write, end } = await makePipe();
    write('a\nb\nc');
    expect(source.next()).toBe('a');
    expect(source.next()).toBe('b');
    const third = source.next();
    expect(third).toBeInstanceOf(Promise);
    write('d\ne');
    expect(await third).toBe('cd');
    end();
    expect(await source.next()).toBe('e');
    expect(await source.next()).toBeNull();
    expect(await source.next()).toBeNull();
  });

  it('sees what was written while commands ran', async () => {
    const { source, write, end } = await makePipe();
    write('a\n');
    expect(source.next()).toBe('a');
    write('b\n');
    expect(source.next()).toBe('b');
    end();
    expect(await source.next()).toBeNull();
  });

  it('takes lines of any length', async () => {
    const { source, write, end } = await makePipe();
    const piece = 'x'.repeat(50_000);
    const lines = linesOf(source);
    for (let count = 0; count < 20; count += 1) {
      write(piece);
      await turn();
    }
    write('\nshort\n');
    end();
    expect(await lines).toEqual([piece.repeat(20), 'short']);
  });

  it('keeps lines that arrive while nobody asks', async () => {
    const { source, write, end } = await makePipe();
    write('a\n');
    await turn();
    write('b\nc');
    end();
    expect(await linesOf(source)).toEqual(['a', 'b', 'c']);
  });

  it('keeps megabytes in their order while the event loop turns between lines', async () => {
    const { source, writer, end } = await makePipe();
    const count = 900_000;
    spawn('seq', [String(count)], { stdio: ['ignore', writer, 'ignore'] });
    end();
    for (let number = 1; number <= count; number += 1) {
      const next = source.next();
      const line = next instanceof Promise ? await next : next;
      // `expect` for each of them would take longer than all the rest.
      if (line !== String(number)) expect(line).toBe(String(number));
      if (number % 500 === 0) await turn();
    }
    expect(await source.next()).toBeNull();
  });

  it('ends also while a line is waited for', async () => {
    const { source, write, end } = await makePipe();
    const line = source.next();
    source.stop();
    expect(await line).toBeNull();
    expect(source.next()).toBeNull();
    expect(() => write('a\n')).toThrow('EPIPE');
    end();
  });
});
