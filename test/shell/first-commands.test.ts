/** The commands that are there from the start: sessions that have only those say what sessions with all of them say. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { compatOf, defaultCompat } from '../../src/block/compat.ts';
import type { CommandTable } from '../../src/shell/command.ts';
import { firstCommands, growingTable } from '../../src/shell/commands/first.ts';
import { commandsOf, groupsOf } from '../../src/shell/commands/index.ts';
import { runFile } from '../../src/shell/commands/source.ts';
import { runLines, runList } from '../../src/shell/script.ts';
import { fromGdbWords } from '../../src/shell/words/gdb-words.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { type TestShell, testShell } from '../helpers/shell.ts';

const folder = useFolder();

describe('the first commands', () => {
  it.each(firstCommands.map((command) => [command.name, command] as const))(
    'have %s as every version has it',
    (_, command) => {
      // The table that grows looks at no version until all commands are there.
      for (const version of ['7.2', '10.2']) {
        expect(Object.values(groupsOf(compatOf(version))).flat()).toContain(command);
      }
    },
  );

  it('are found at once, and no other', async () => {
    const table = growingTable(defaultCompat);
    expect(table.find('aio_write')).toBe(commandsOf(defaultCompat).find('aio_write'));
    expect([table.isComplete, table.find('length')]).toEqual([false, undefined]);
    await table.complete();
    expect(table.names).toEqual(commandsOf(defaultCompat).names);
    expect(table.groups).toEqual(commandsOf(defaultCompat).groups);
  });

  it('leave no word of gdb to be taken for one of a command that is not loaded yet', () => {
    const names = commandsOf(defaultCompat).names.filter((name) => fromGdbWords([name]) !== null);
    expect(names).toEqual([]);
  });
});

type Talk = (shell: TestShell) => unknown;

/** Runs lines as `-c` does. */
const list =
  (...lines: string[]): Talk =>
  ({ session }) =>
    runList(session.shell, lines);

/** Runs lines as standard input does; with `bail` they end at the first failure. */
const input =
  (bail: boolean, ...lines: string[]): Talk =>
  ({ session }) => {
    session.bail = bail;
    let next = 0;
    return runLines(session.shell, { next: () => lines[next++] ?? null }, 'qemu-io> ');
  };

const talks: readonly (readonly [string, Talk])[] = [
  ['an unknown command', input(false, 'nosuch 1', 'write 0 512', 'nosuch')],
  ['a command of another version', input(false, 'zone_report 0 1', 'read 0 512')],
  ['an alias of a first command', list('w -P 3 0 512', 'r -P 3 0 512', 'f', 'q', 'length')],
  ['an alias of another command', list('i', 'd 0 512', 't 2M', 'l')],
  ['help', input(false, 'help', 'help write', 'help nosuch')],
  ['an empty line', input(false, '', '  ', 'length')],
  ['bail at an unknown command', input(true, 'write 0 512', 'nosuch', 'write 0 512')],
  ['bail at a command that comes', input(true, 'length 1', 'write 0 512')],
  ['a request in flight', input(false, 'aio_write 0 4k', 'length', 'aio_read 0 4k', 'info', 'aio_flush')],
  ['a request in flight in a list', list('aio_write 0 4k', 'length', 'aio_flush')],
  ['a suspended request', input(false, 'break pwritev A', 'aio_write 0 4k', 'suspended', 'wait_break A', 'resume A')],
  ['quit behind a command that comes', list('length', 'quit', 'length')],
  [
    'a file of -x',
    ({ session }) => {
      const file = path.join(folder, 'script');
      writeFileSync(file, 'aio_write 0 4k # a comment\nlength\nnosuch\nsource nosuch\n');
      return runFile(session.shell, file, {});
    },
  ],
];

async function said(table: CommandTable, isTerminal: boolean, talk: Talk): Promise<unknown> {
  const shell = await testShell({}, { isTerminal, commands: table });
  const status = await talk(shell);
  const { session } = shell;
  return { status, exit: session.exitStatus, out: shell.out(), err: shell.err(), quits: session.quitRequested };
}

describe.each([
  ['in a pipe', false],
  ['on a terminal', true],
])('a session that loads commands on need, %s', (_, isTerminal) => {
  it.each(talks)('says to %s what one with all of them says', async (_name, talk) => {
    const answer = await said(growingTable(defaultCompat), isTerminal, talk);
    expect(answer).toEqual(await said(commandsOf(defaultCompat), isTerminal, talk));
    expect(JSON.stringify(answer)).toMatch(/MiB|wrote|not found|argument/);
  });
});
