/** A session over files of the host, opened with named nodes, whose lines and answers make a text to compare. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { Open } from '../../src/block/flags.ts';
import { Options, type OptionValue } from '../../src/block/options/options.ts';
import type { UserObject } from '../../src/block/user-object.ts';
import { drivers } from '../../src/drivers/index.ts';
import { commandTable } from '../../src/shell/commands/index.ts';
import { Session } from '../../src/shell/session.ts';

export interface SeeSession {
  readonly session: Session;
  /** Runs lines; each with its answer, standard error behind it. */
  talk(...lines: readonly string[]): Promise<string>;
  /** Runs one line and parses what it prints as JSON. */
  json<T>(line: string): Promise<T>;
  close(): Promise<void>;
}

/** Opens an image with these options of its nodes. */
export async function seeSession(
  options: Readonly<Record<string, OptionValue>>,
  settings: {
    readonly isTerminal?: boolean;
    readonly flags?: number;
    readonly writethrough?: boolean;
    readonly objects?: ReadonlyMap<string, UserObject>;
  } = {},
): Promise<SeeSession> {
  let text = '';
  const write = (part: string): void => {
    text += part;
  };
  const session = new Session(
    {
      output: {
        stdout: write,
        stderr: write,
        flush: () => {},
        drop: () => {},
        isTerminal: settings.isTerminal ?? false,
      },
      drivers,
      ...(settings.objects === undefined ? {} : { objects: settings.objects }),
    },
    commandTable,
  );
  const isOpen = await session.open({
    filename: null,
    options: new Options(Object.entries(options)),
    flags: settings.flags ?? Open.READ_WRITE | Open.UNMAP,
    writethrough: settings.writethrough ?? false,
    forceShare: false,
  });
  if (!isOpen) throw new Error(text);
  const run = async (line: string): Promise<string> => {
    text = '';
    await session.execute(line);
    return text;
  };
  return {
    session,
    async talk(...lines) {
      let all = '';
      for (const line of lines) all += `> ${line}\n${(await run(line)).replaceAll(/; .* ops\/sec\)/g, '; TIME')}`;
      return all;
    },
    json: async (line) => JSON.parse(await run(line)),
    close: () => session.close(),
  };
}

/** The options of a qcow2 image over blkdebug over a file, the nodes named top, debug and disk. */
export function overDebug(
  filename: string,
  more: Readonly<Record<string, OptionValue>> = {},
): Record<string, OptionValue> {
  return {
    driver: 'qcow2',
    'node-name': 'top',
    'file.driver': 'blkdebug',
    'file.node-name': 'debug',
    'file.image.driver': 'file',
    'file.image.node-name': 'disk',
    'file.image.filename': filename,
    ...more,
  };
}

/** A text is what the file beside the tests holds; `RECORD=1` writes it. */
export function expectGolden(name: string, text: string): void {
  const file = path.join(import.meta.dirname, 'golden', `${name}.txt`);
  if (process.env.RECORD === '1') writeFileSync(file, text);
  expect(text).toBe(readFileSync(file, 'utf8'));
}

export function hashOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}
