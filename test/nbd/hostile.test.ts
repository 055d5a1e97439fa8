/**
 * Hostile clients, several at a time: whatever they say, the server refuses or answers, holds no more than it may, and
 * keeps nothing of them. `CASES=100000 SEED=7 npm test -- test/nbd/hostile` goes on.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { defaultLimits } from '../../src/nbd/server-limits.ts';
import { type Conversation, conversation } from './hostile-client.ts';
import { RawClient } from './raw-client.ts';
import { Rig } from './rig.ts';

const CASES = Number(process.env.CASES ?? 400);
const SEED = process.env.SEED ?? '1';
const TOGETHER = 8;
const IMAGE_BYTES = 1 << 18;
/** Beyond the memory that clients may hold: of the process that tests and is tested. */
const GROWTH_MAX_BYTES = 256 << 20;

/** Lines that the user may be told of clients. */
const lines = [
  /unknown client flags/,
  /wrong magic number/,
  /option \d+ has \d+ bytes of data/,
  /option \d+ without fixed newstyle/,
  /a request has a payload of \d+ bytes/,
  /export ".*" does not exist/,
  /EXPORT_NAME after EXTENDED_HEADERS/,
  /no export chosen within/,
  /more messages about clients were left out/,
];

let rig: Rig;
afterEach(() => rig.end());

async function converse({ pieces, reads, ending }: Conversation): Promise<void> {
  const client = await RawClient.connect(rig.address);
  client.socket.on('data', () => {});
  if (!reads) client.socket.pause();
  for (const piece of pieces) {
    if (client.isClosed || client.socket.destroyed) break;
    client.write(piece);
    await new Promise(setImmediate);
  }
  if (ending === 'end') client.end();
  else if (ending === 'destroy') client.destroy();
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  client.destroy();
}

describe('hostile clients', () => {
  it('are refused or answered, and leave nothing', { timeout: 60_000 + CASES * 100 }, async () => {
    rig = await Rig.make({ bytes: IMAGE_BYTES });
    const { server, backend } = rig;
    let base = 0;
    for (let index = 0; index < CASES; index += TOGETHER) {
      const indices = Array.from({ length: TOGETHER }, (_none, offset) => index + offset);
      await Promise.all(indices.map((number) => converse(conversation(SEED, number, IMAGE_BYTES))));
      expect(server.budget.heldBytes, `after case ${index}`).toBeLessThanOrEqual(defaultLimits.maxTotalBytes);
      await rig.until(() => server.connections.length === 0);
      expect([server.budget.heldBytes, backend.inFlight, rig.memory.loop.alive.size], `after case ${index}`).toEqual([
        0, 0, 0,
      ]);
      const strange = rig.lines.filter((line) => !lines.some((known) => known.test(line)));
      expect(strange, `after case ${index}`).toEqual([]);
      rig.lines.length = 0;
      rig.calls.length = 0;
      if (index % 4096 === 2048) {
        base ||= process.memoryUsage().rss;
        expect(process.memoryUsage().rss - base).toBeLessThan(GROWTH_MAX_BYTES);
      }
    }
    const client = await RawClient.open(rig.address);
    expect((await client.ask({ type: 0, length: 4096 })).error).toBe(0);
  });
});
