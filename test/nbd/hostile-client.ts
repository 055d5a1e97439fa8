/**
 * Conversations of clients that break the protocol: valid messages, then broken (flipped, cut, repeated, lengths that
 * lie), sent in pieces of any size, ended in any way. The same seed gives the same conversations.
 */
import { Random } from '../fuzz/random.js';
import { contextQuery, encodeOption, encodeRequest, infoQuery } from './raw-client.ts';

/** How a conversation ends: by FIN, by a reset, or not before the server ends it. */
export type Ending = 'end' | 'destroy' | 'stay';

export interface Conversation {
  readonly pieces: readonly Buffer[];
  /** Whether the client reads what it is told. */
  readonly reads: boolean;
  readonly ending: Ending;
}

const lies = [0, 1, 3, 0x7f, 0xff, 0xffff, 0x10000, 0x2000000, 0x2000001, 0x7fffffff, 0xfffffffe, 0xffffffff] as const;

/** The conversation of a seed and number. */
export function conversation(seed: string, index: number, imageBytes: number): Conversation {
  const random = new Random(`${seed}/${index}`);
  const isGarbage = random.chance(10);
  const messages = isGarbage ? [random.bytes(random.below(2000))] : messagesOf(random, imageBytes);
  const broken = messages.map((message) => (random.chance(12) ? spoil(random, message) : message));
  if (random.chance(5)) broken.push(random.bytes(random.below(5000)));
  const bytes = Buffer.concat(broken);
  return {
    pieces: cut(random, bytes),
    reads: random.chance(85),
    ending: random.pick(['end', 'destroy', 'stay'] as const),
  };
}

function messagesOf(random: Random, imageBytes: number): Buffer[] {
  const flags = Buffer.alloc(4);
  flags.writeUInt32BE(random.chance(95) ? 3 : random.below(8));
  const messages: Buffer[] = [flags];
  let isExtended = false;
  for (let count = random.below(6); count > 0; count -= 1) {
    const option = random.pick([2, 3, 5, 6, 8, 9, 10, 11, random.below(20)]);
    isExtended ||= option === 11;
    messages.push(encodeOption(option, optionData(random, option)));
  }
  const chooses = random.chance(85);
  if (chooses && !isExtended && random.chance(20)) messages.push(encodeOption(1, Buffer.alloc(0)));
  else if (chooses) messages.push(encodeOption(7, infoQuery(random.chance(95) ? '' : 'x', [3])));
  for (let count = random.below(30); count > 0; count -= 1) messages.push(request(random, isExtended, imageBytes));
  if (random.chance(40)) messages.push(encodeRequest({ type: 2 }, isExtended));
  return messages;
}

function optionData(random: Random, option: number): Buffer {
  if (random.chance(10)) return random.bytes(random.below(300));
  if (option === 6) return infoQuery(random.pick(['', 'x', 'y'.repeat(4097)]), [random.below(5), 3]);
  if (option === 9 || option === 10) {
    return contextQuery('', random.pick([[], ['base:allocation'], ['qemu:', 'base:'], ['x'.repeat(5000), '']]));
  }
  return Buffer.alloc(0);
}

function request(random: Random, isExtended: boolean, imageBytes: number): Buffer {
  const type = random.chance(95) ? random.pick([0, 1, 3, 4, 5, 6, 7]) : random.below(0x10000);
  const flags = random.chance(70) ? 0 : random.below(random.chance(90) ? 64 : 0x10000);
  const offset = random.chance(90) ? BigInt(random.below(imageBytes)) : random.bits64();
  const length = random.chance(90) ? random.below(random.pick([10, 5000, 70_000])) : random.pick(lies);
  const payload = type === 1 ? Buffer.alloc(Math.min(length, 100_000), 0x66) : Buffer.alloc(0);
  const withPayload = isExtended && type === 1 && random.chance(95) ? flags | 0x20 : flags;
  return encodeRequest({ type, flags: withPayload, cookie: random.bits64(), offset, length, payload }, isExtended);
}

/** One message, broken. */
function spoil(random: Random, message: Buffer): Buffer {
  const broken = Buffer.from(message);
  switch (random.below(4)) {
    case 0:
      for (let count = random.between(1, 4); count > 0; count -= 1) {
        broken[random.below(broken.length)] = random.below(256);
      }
      return broken;
    case 1:
      return broken.subarray(0, random.below(broken.length));
    case 2:
      return Buffer.concat([broken, broken]);
    default: {
      // Lengths stand at multiples of four.
      const at = 4 * random.below(Math.max(1, Math.floor(Math.min(broken.length, 32) / 4)));
      if (at + 4 <= broken.length) broken.writeUInt32BE(random.pick(lies), at);
      return broken;
    }
  }
}

function cut(random: Random, bytes: Buffer): Buffer[] {
  const longest = random.pick([3, 100, 5000, 1 << 20]);
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length && pieces.length < 400; ) {
    const end = at + random.between(1, longest);
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}
