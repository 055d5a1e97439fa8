/**
 * Servers that send damaged messages: whatever they say, requests end with a result or an error, and the image closes.
 *
 * `CASES=20000 SEED=7 npm test -- test/drivers/nbd/hostile` tries more of them.
 */
import path from 'node:path';
import { expect, it } from 'vitest';
import { nbd } from '../../../src/drivers/nbd/name.ts';
import { useFolder } from '../../helpers/sandbox.ts';
import { nbdShell, turn } from './nbd-shell.ts';
import { type Behaviour, ScriptedServer } from './scripted-server.ts';

const cases = Number(process.env.CASES ?? 300);
const seed = Number(process.env.SEED ?? 1);
const folder = useFolder();

/** Turns without an end after which a command counts as one that waits for a server which has nothing more to say. */
const PATIENCE_TURNS = 60;
/** More than all buffers that the client may have at a time: messages of 32 MiB are allowed. */
const MEMORY_BYTES = 160 << 20;

const commands = [
  'read 0 4k',
  'write -P 3 1k 700',
  'aio_read 0 64k',
  'aio_write 64k 64k',
  'aio_read 128k 512',
  'aio_flush',
  'map',
  'write -z 4k 64k',
  'discard 0 64k',
  'flush',
  'read 1M 512',
];

/** Mulberry32: a number from 0 up to 1. */
function randomOf(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const numbers = [0, 1, 2, 3, 7, 511, 0x8001, 0xffff, 0x2000000, 0x2000001, 0x7fffffff, 0x80000000, 0xffffffff];

/** Damages a message in one of many ways; null closes the connection. */
function damage(message: Buffer, random: () => number): Buffer | null {
  const below = (limit: number): number => Math.floor(random() * limit);
  const bytes = Buffer.from(message);
  switch (below(8)) {
    case 0:
      return null;
    case 1:
      return bytes.subarray(0, below(bytes.length + 1));
    case 2:
      return Buffer.concat([bytes, bytes]);
    case 3:
      return Buffer.concat([bytes, Buffer.from(Array.from({ length: below(64) }, () => below(256)))]);
    case 4: {
      const at = below(bytes.length);
      bytes[at] = below(256);
      return bytes;
    }
    default: {
      // A field of two or four bytes, in the header as a rule.
      const width = random() < 0.7 ? 4 : 2;
      if (bytes.length < width) return bytes;
      const at = below(Math.min(bytes.length, 40) - width + 1);
      bytes.writeUIntBE((numbers[below(numbers.length)] ?? 0) % 2 ** (8 * width), at, width);
      return bytes;
    }
  }
}

function behaviourOf(random: () => number): Behaviour {
  // Late damage is seen only if the handshake gets through.
  const odds = random() < 0.5 ? 0.05 : 0.3;
  let rest = 1 + Math.floor(random() * 3);
  return {
    hasStructuredReplies: random() < 0.8,
    hasContext: random() < 0.8,
    ...(random() < 0.3 ? { blockSizes: [512, 4096, 65536] as const } : {}),
    mangle(message) {
      if (rest === 0 || random() > odds) return message;
      rest -= 1;
      return damage(message, random);
    },
  };
}

/** Waits until an operation has ended; when nothing comes any more, the server closes all connections. */
async function endOf(operation: unknown, server: ScriptedServer): Promise<boolean> {
  let hasEnded = false;
  const ended = Promise.resolve(operation).finally(() => {
    hasEnded = true;
  });
  for (let idle = 1; !hasEnded && idle < 20 * PATIENCE_TURNS; idle += 1) {
    await turn();
    if (idle % PATIENCE_TURNS === 0) server.disconnect();
  }
  if (hasEnded) await ended;
  return hasEnded;
}

it(`${cases} conversations with hostile servers, seed ${seed}, end in order`, async () => {
  // Turns are counted: none may go by while the driver is loaded.
  await nbd.load();
  const outcomes = { opened: 0, failed: 0, done: 0 };
  const memoryBefore = process.memoryUsage().arrayBuffers;
  for (let number = 0; number < cases; number += 1) {
    const random = randomOf(seed * 1_000_003 + number);
    const what = `SEED=${seed}, case ${number}`;
    const server = new ScriptedServer(path.join(folder, `s${number}`), (1 << 20) + 513, behaviourOf(random));
    await server.start();
    const shell = nbdShell();
    const options = { driver: 'raw', 'file.driver': 'nbd', 'file.path': path.join(folder, `s${number}`) };
    expect(await endOf(shell.open(options), server), `${what}: open`).toBe(true);
    if (shell.session.backend !== null) {
      outcomes.opened += 1;
      for (const command of commands) {
        expect(await endOf(shell.session.execute(command), server), `${what}: ${command}`).toBe(true);
      }
      const said = shell.said();
      expect(said).not.toContain('internal error');
      if (said.includes('failed')) outcomes.failed += 1;
      else outcomes.done += 1;
    }
    expect(await endOf(shell.session.close(), server), `${what}: close`).toBe(true);
    expect(shell.session.loop.alive.size, what).toBe(0);
    expect(process.memoryUsage().arrayBuffers - memoryBefore, what).toBeLessThan(MEMORY_BYTES);
    await server.stop();
  }
  // Damage of all kinds was seen: refused at the door, found out later, and harmless.
  expect(outcomes.opened).toBeGreaterThan(cases / 5);
  expect(outcomes.opened).toBeLessThan(cases);
  expect(outcomes.failed).toBeGreaterThan(cases / 20);
  expect(outcomes.done).toBeGreaterThan(0);
});
