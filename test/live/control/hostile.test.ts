/**
 * Hostile clients of the control socket, several at a time: whatever they say, they get refusals and answers of the
 * declared form, the session's shell goes on, and nothing of them is left.
 * `CASES=20000 SEED=7 npm test -- test/live/control/hostile` goes on.
 */
import { afterEach, expect, it } from 'vitest';
import { useEmptyFolder } from '../../helpers/sandbox.ts';
import { ControlRig } from './control-rig.ts';
import { conversation } from './hostile-console.ts';
import { type RpcClient, until } from './rpc-client.ts';

const CASES = Number(process.env.CASES ?? 500);
const SEED = process.env.SEED ?? '1';
const TOGETHER = 8;
const INTERNAL_ERROR = -32_603;
/** Beyond the memory that clients may hold: of the process that tests and is tested. */
const GROWTH_MAX_BYTES = 512 << 20;

const folder = useEmptyFolder();
let rig: ControlRig;
afterEach(() => rig.end());

/** Holds one conversation; fails for an answer that is not of the schema, or tells of an error of the program. */
async function converse(number: number): Promise<void> {
  const { steps, isKilled } = conversation(SEED, number);
  const client = rig.connect();
  for (const step of steps) {
    if (step.kind === 'send') client.socket.write(step.text);
    else if (step.kind === 'pause') client.socket.pause();
    else if (step.kind === 'resume') client.socket.resume();
    else if (step.kind === 'end') client.socket.end();
    await new Promise(setImmediate);
  }
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
  if (!isKilled) client.socket.end();
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
  client.socket.destroy();
  const wrong = client.messages.flat().find(({ error }) => error?.code === INTERNAL_ERROR);
  expect(wrong, `case ${number}`).toBeUndefined();
}

/** The shell answers, and lets go what the others have left suspended. */
async function checkSession(good: RpcClient): Promise<void> {
  expect(await good.run('length')).toBe('1 MiB\n');
  for (let round = 0; rig.shell.session.background.unfinished > 0 && round < 100; round += 1)
    await good.run('resume -a');
  expect(rig.shell.session.background.unfinished).toBe(0);
  const rules = await good.call('rules');
  for (const { number } of rules) await good.run(`rule remove ${Number(number)}`);
}

it('hostile clients get refusals, and the shell goes on', { timeout: 60_000 + CASES * 100 }, async () => {
  rig = await ControlRig.make(folder, { patienceMs: 200 });
  const good = rig.connect();
  let base = 0;
  for (let index = 0; index < CASES; index += TOGETHER) {
    await Promise.all(Array.from({ length: TOGETHER }, (_none, offset) => converse(index + offset)));
    await until(() => rig.monitor.clientCount === 1);
    await checkSession(good);
    const { rss } = process.memoryUsage();
    if (index === 10 * TOGETHER) base = rss;
    if (base > 0) expect(rss - base, `after case ${index}`).toBeLessThan(GROWTH_MAX_BYTES);
  }
  // The session's own input was served all the time, and nothing of the others reached its output but what was left.
  rig.type('write -q 0 512');
  rig.type('length');
  await until(() => rig.shell.out().endsWith('1 MiB\n'));
});
