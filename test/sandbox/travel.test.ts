/** Journeys of a session in a sandbox: each moment comes back as a new session would have it, and goes on as it did. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { debugNode, portOf } from '../../src/block/debug/port.ts';
import { freeTag } from '../../src/shell/words/tags.ts';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { randomScript } from './random-script.ts';
import { type TimeSession, timeSession } from './time-session.ts';

const folder = useFolder();
const image = path.join(folder, 'disk.qcow2');
writeFileSync(image, makeImage());
const numRuns = Number(process.env.CASES ?? 60);
/** A journey runs a script of two dozen lines several times. */
const timeout = 60_000 + numRuns * 1000;
const seed = process.env.SEED === undefined ? {} : { seed: Number(process.env.SEED) };

/** The events that a script fires at which a request can be stopped: the line that each fires in, and its number. */
async function eventsOf(lines: readonly string[]): Promise<{ line: number; number: number }[]> {
  const time = await timeSession(image);
  const { trace } = time.session.context;
  const fired: { line: number; number: number }[] = [];
  let line = 0;
  const end = trace.subscribe(({ kind, node }) => {
    const { backend, loop } = time.session;
    if (kind !== 'event' || backend === null || loop.current === null) return;
    if (debugNode(backend.top)?.nodeName === node) fired.push({ line, number: trace.history.total });
  });
  for (const text of lines) {
    await time.run(text);
    line += 1;
  }
  end();
  await time.close();
  return fired;
}

/** A new session that has run up to an event, where its request is suspended and nothing goes on. */
async function freshAt(lines: readonly string[], number: number): Promise<TimeSession> {
  const time = await timeSession(image);
  const { session } = time;
  const { trace } = session.context;
  let isThere = false;
  const end = trace.subscribe(({ kind }) => {
    if (kind !== 'event' || trace.history.total !== number) return;
    const tag = freeTag(session);
    session.tags.add(tag);
    const port = portOf(debugNode(session.top) ?? session.top);
    port?.stopAt(tag, { request: session.loop.current?.id ?? 0, event: null });
    session.loop.isFrozen = true;
    isThere = true;
  });
  for (const line of lines) if (!isThere) await time.run(line);
  end();
  return time;
}

it('at each event everything is as a new session has it, and goes on in the same way', { timeout }, async () => {
  await fc.assert(
    fc.asyncProperty(randomScript, fc.nat(), fc.nat(), async (lines, which, elsewhere) => {
      const fired = await eventsOf(lines);
      fc.pre(fired.length > 0);
      const at = fired[which % fired.length] as { line: number; number: number };
      const other = fired[elsewhere % fired.length] as { line: number; number: number };
      const travelled = await timeSession(image);
      await travelled.run(...lines);
      await travelled.run(`goto #${other.number}`);
      const said = await travelled.run(`goto #${at.number}`);
      fc.pre(!said.includes('nothing can be stopped'));
      expect(said).toContain(`at #${at.number} `);
      const fresh = await freshAt(lines, at.number);
      expect(await travelled.picture()).toBe(await fresh.picture());
      const rest = ['resume all', ...lines.slice(at.line + 1)];
      expect(await travelled.run(...rest)).toBe(await fresh.run(...rest));
      expect(await travelled.picture()).toBe(await fresh.picture());
      await travelled.close();
      await fresh.close();
    }),
    { numRuns, ...seed },
  );
});

it('the end, and a checkpoint between two commands, come back as they were', { timeout }, async () => {
  await fc.assert(
    fc.asyncProperty(randomScript, fc.nat(), async (lines, which) => {
      const middle = which % lines.length;
      const time = await timeSession(image);
      await time.run(...lines.slice(0, middle), 'checkpoint here');
      const there = await time.picture();
      await time.run(...lines.slice(middle), 'checkpoint there');
      const end = await time.picture();
      await time.run('goto here');
      expect(await time.picture()).toBe(there);
      await time.run('goto there');
      expect(await time.picture()).toBe(end);
      await time.close();
    }),
    { numRuns, ...seed },
  );
});

it('Ctrl-C on the way leads back to where the session was, within a file of commands and on the way back, too', async () => {
  const file = path.join(folder, 'writes');
  writeFileSync(file, Array.from({ length: 20 }, (_, index) => `write -q ${index * 64}k 64k\n`).join(''));
  const time = await timeSession(image);
  const { session } = time;
  await time.run('write -q 0 4k', `source ${file}`);
  const before = await time.picture();
  // Each way fires the events from the start on: the one there, and the one back.
  let interrupts = 0;
  const end = session.context.trace.subscribe(({ kind }) => {
    if (kind !== 'event' || session.context.trace.history.total !== 60) return;
    interrupts += 1;
    session.interrupt();
  });
  expect(await time.run('goto -1')).toMatch(/: interrupted\n$/);
  end();
  expect(interrupts).toBe(2);
  expect(await time.picture()).toBe(before);
  expect(await time.run('back')).toMatch(/after command 1: write -q 0 4k/);
  await time.close();
});

it('what only looks is no command of the way, and begins no time line', async () => {
  const time = await timeSession(image, { isTerminal: true });
  await time.run('write -q 0 4k', 'write -q 64k 4k', 'back');
  for (const line of ['state', 'state -aj', 'state -n #block022', 'snapshot', 'snapshot -lj']) {
    expect(await time.run(line)).not.toMatch(/time line/);
  }
  expect(await time.run('state 2')).toMatch(/a new time line begins here/);
  expect(await time.run('back')).toMatch(/after command 1: write -q 0 4k/);
  await time.close();
});

it('the words of gdb are commands of the way, too', async () => {
  const time = await timeSession(image, { isTerminal: true });
  await time.run('write -q 0 4k', 'b pwritev Z nth=900', 'write -q 64k 4k');
  expect(await time.run('goto -2')).toMatch(/is suspended under/);
  expect(await time.run('bt', 'n')).toMatch(/\(w\d+ is suspended at \w+\)\n\(a new time line begins here/);
  // Two writes, the breakpoint and the step.
  expect(await time.run('delete 1', 'back')).toMatch(/after command 4: n\n/);
  expect(await time.run('rules', 'back 2')).toMatch(/ 1 +break +Z [^]*after command 2: b pwritev Z nth=900\n/);
  await time.close();
});

it('the hazards are those up to the moment, however often the session has come there', async () => {
  const time = await timeSession(image);
  const lines = ['write -q 0 64k', 'break pwritev A', 'aio_write -q 0 4k', 'discard -q 0 64k', 'write -q 64k 4k'];
  await time.run(...lines);
  const { history } = time.session.context.trace;
  expect(history.hazards).toMatchObject({ count: 2 });
  await time.run('back');
  expect(history.hazards).toMatchObject({ count: 1 });
  expect(history.firstHazards).toHaveLength(1);
  await time.run('goto end');
  expect(history.hazards).toMatchObject({ count: 2 });
  await time.run('goto start');
  expect(history.hazards).toBeNull();
  expect(history.firstHazards).toEqual([]);
  await time.close();
});
