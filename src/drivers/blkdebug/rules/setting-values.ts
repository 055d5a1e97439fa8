/** The values of settings of rules, read from the words of commands, files and options. */
import { invalidArgument } from '../../../block/error.ts';
import { type DebugEvent, eventByName } from '../../../block/events/events.ts';
import { parseSize } from '../../../util/size.ts';
import { type IoTypeName, isIoTypeName } from './condition.ts';
import type { Probability } from './counting.ts';
import { ByteRange } from './location.ts';

/** The event of a name. EINVAL if there is none. */
export function parseEvent(name: string): DebugEvent {
  const event = eventByName(name);
  if (event === undefined) throw invalidArgument(`invalid parameter value: ${name}`);
  return event;
}

/** A value of `iotype`. EINVAL for another word. */
export function parseIoType(name: string): IoTypeName {
  if (!isIoTypeName(name)) throw invalidArgument(`invalid parameter value: ${name}`);
  return name;
}

/** "A..B", from A to before B, in the shell's notations of sizes. */
export function parseRange(text: string): ByteRange {
  const dots = text.indexOf('..');
  const from = parseSize(text.slice(0, Math.max(0, dots)));
  const to = parseSize(text.slice(dots + 2));
  if (dots < 0 || typeof from === 'string' || typeof to === 'string' || from >= to) {
    throw invalidArgument(`'offset' expects a range of bytes A..B, not '${text}'`);
  }
  // No image reaches to where a double is not exact.
  return new ByteRange(Number(from), Number(to), text);
}

/** "5", or as the views name it: "w5". */
export function parseRequest(text: string): number {
  const digits = /^[a-z]?([0-9]{1,15})$/.exec(text)?.[1];
  if (digits === undefined) throw invalidArgument(`'request' expects the number of a request, not '${text}'`);
  return Number(digits);
}

/** The first words of the operations that the views show while an event can fire. */
const operations = [
  'read',
  'write',
  'discard',
  'flush',
  'truncate',
  'map',
  'cache',
  'open',
  'close',
  'reopen',
  'commit',
  'check',
  'snapshot',
  'alloc',
  'drain',
];

/** An operation, such as "write" or "write -z". EINVAL for a word that no request has, "aio_write" among them. */
export function parseOperation(text: string): string {
  const [first = ''] = text.split(' ', 1);
  if (operations.includes(first)) return text;
  throw invalidArgument(`'op' expects an operation such as read, write, discard or flush, not '${text}'`);
}

/** "0.5": a number from 0 to 1. EINVAL for anything else. */
export function parseProbability(text: string): Probability {
  if (!/^(?:[0-9]+\.?|[0-9]*\.[0-9]+)$/.test(text) || Number(text) > 1) {
    throw invalidArgument(`'probability' expects a number from 0 to 1, not '${text}'`);
  }
  return { value: Number(text), text };
}

/** A number below 2^32. EINVAL for anything else. */
export function parseSeed(text: string): number {
  if (!/^[0-9]{1,10}$/.test(text) || Number(text) > 0xffff_ffff) {
    throw invalidArgument(`'seed' expects a number below 2^32, not '${text}'`);
  }
  return Number(text);
}

/** The longest delay that a timer of the host takes. */
const DELAY_NS_MAX = 2_147_483_647_000_000;

/** Nanoseconds. EINVAL for what no timer takes. */
export function parseDelay(text: string): number {
  const delay = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
  if (delay > DELAY_NS_MAX) {
    throw invalidArgument(`'delay-ns' expects nanoseconds from 0 to ${DELAY_NS_MAX}, not '${text}'`);
  }
  return delay;
}
