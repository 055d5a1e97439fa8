/** Words of gdb: at a terminal they stand for commands, in a pipe they are what qemu-io says of them. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { useFolder } from '../helpers/sandbox.ts';
import { type SeeSession, seeSession } from '../see/see-session.ts';

const folder = useFolder();

function session(isTerminal: boolean): Promise<SeeSession> {
  const filename = path.join(folder, 'disk.raw');
  writeFileSync(filename, Buffer.alloc(1 << 20));
  const options = {
    driver: 'raw',
    'file.driver': 'blkdebug',
    'file.image.driver': 'file',
    'file.image.filename': filename,
  };
  return seeSession(options, { isTerminal });
}

it('stand for commands at a terminal', async () => {
  const see = await session(true);
  const text = await see.talk('b write_aio A', 'tbreak pwritev B', 'i b', 'aio_write -P 1 0 4k', 'bt', 'n', 'continue');
  expect(text.replaceAll(/\d+\.\ds$/gm, 'TIME')).toBe(`\
> b write_aio A
> tbreak pwritev B
> i b
RULE  ACTION  EFFECT  EVENT      CONDITIONS  STATUS  HITS  FAILED  SKIPPED BECAUSE
   1  break   A       write_aio  -           armed      0       -  -
   2  break   B       pwritev    -           armed      0       -  -
> aio_write -P 1 0 4k
blkdebug: Suspended request 'A'
> bt
REQUEST  OPERATION  GUEST  LENGTH  WAITS FOR     SINCE
w6       write          0      4k  breakpoint A   TIME
> n
blkdebug: Resuming request 'A'
blkdebug: Suspended request 'A'
blkdebug: Suspended request 'B'
(w6 is suspended at pwritev)
> continue
qemu-io: 2 requests are suspended; say which: A, B
`);
  expect(await see.talk('delete 1', 'disable 2', 'info breakpoints')).toContain('   2  break');
  expect(await see.talk('delete', 'delete 7', 'info x')).toMatch(
    /bad argument count 1 to rule[^]*no rule 7[^]*bad argument count 1 to info/,
  );
  expect(await see.talk('help gdb')).toContain(' b, tbreak ');
  expect(await see.talk('help b')).toContain('break event tag');
  await see.talk('resume -a', 'resume -a', 'aio_flush');
  // What qemu-io has stays.
  expect(await see.talk('l', 'c', 'l')).toBe("> l\n1 MiB\n> c\n> l\nno file open, try 'help open'\n");
  await see.close();
});

it('are no words in a pipe', async () => {
  const see = await session(false);
  for (const word of ['b', 'n', 's', 'bt', 'delete', 'tbreak', 'continue', 'disable', 'enable', 'cont']) {
    expect(await see.talk(`${word} 1 A`)).toBe(`> ${word} 1 A\ncommand "${word}" not found\n`);
  }
  expect(await see.talk('i b')).toBe('> i b\nbad argument count 1 to i, expected 0 arguments\n');
  expect(await see.talk('help gdb', 'help b')).toContain('command gdb not found');
  await see.close();
});
