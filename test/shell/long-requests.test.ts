/** Commands on much data give Node turns while they fill, compare and print it: an interrupt ends them. */
import { expect, it } from 'vitest';
import { Open } from '../../src/block/flags.ts';
import { Options } from '../../src/block/options/options.ts';
import { drivers } from '../../src/drivers/index.ts';
import { commandTable } from '../../src/shell/commands/index.ts';
import { Session } from '../../src/shell/session.ts';
import { FakeClock } from '../helpers/shell.ts';

/** Time passes with each look at it once it runs. */
class HastyClock extends FakeClock {
  runs = false;
  override nowNs(): number {
    if (this.runs) this.now += 30e6;
    return this.now;
  }
}

/** The output of `line` when it is interrupted in Node's first turn. */
async function interrupted(line: string): Promise<string> {
  let said = '';
  const say = (text: string): void => {
    said += text.slice(0, 100);
  };
  const clock = new HastyClock();
  const output = { stdout: say, stderr: say, flush() {}, drop() {}, isTerminal: false };
  const session = new Session({ output, drivers, clock }, commandTable);
  // It moves no data: what can be interrupted is the command's own work.
  const options = new Options(Object.entries({ driver: 'null-co', size: '1G' }));
  await session.open({ filename: null, options, flags: Open.READ_WRITE, writethrough: false, forceShare: false });
  clock.runs = true;
  let next = setImmediate(function again() {
    session.interrupt();
    next = setImmediate(again);
  });
  await session.execute(line);
  clearImmediate(next);
  clock.runs = false;
  await session.close();
  return said;
}

it.each([
  ['filling a buffer', 'write 0 128M', 'write failed: Operation canceled\n'],
  ['filling a buffer in the background', 'aio_write 0 128M', 'aio_write failed: Operation canceled\n'],
])('%s', async (_name, line, expected) => {
  expect(await interrupted(line)).toBe(expected);
});

it('printing a dump', async () => {
  const said = await interrupted('read -v 0 4M');
  expect(said).toMatch(/^00000000: {2}ab/);
  expect(said).toMatch(/Operation canceled\n$/);
  expect(said).not.toContain('read 4194304/4194304');
});
