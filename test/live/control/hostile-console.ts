/** Conversations of clients that mean no good, by seed and number: the same each time. */
import { Random } from '../../fuzz/random.js';

/** A client does one after the other. */
export type Step =
  | { readonly kind: 'send'; readonly text: string | Buffer }
  | { readonly kind: 'pause' | 'resume' | 'end' | 'turn' };

/** A conversation: its steps, and whether its client goes without a word at the end. */
export interface Conversation {
  readonly steps: readonly Step[];
  readonly isKilled: boolean;
}

const methods = (
  'command interrupt subscribe unsubscribe rules suspended requests state nodes info events complete clients version ' +
  'help nosuch __proto__ constructor toString'
).split(' ');

/** Lines that wait, stop, print much, fail, and end what others wait for; none changes which image is open. */
const lines = [
  'length; sleep 100000000; write 0 512; write -q 0 64k; read -v 0 64k; read 0 1M; aio_write 0 4k; aio_read -q 0 4k',
  'aio_flush; flush; break pwritev A; break -p read_aio B; remove_break A; resume A; resume -a; cancel A; wait_break A',
  'wait_break nosuch; repeat 50 read -q 0 512; source /nosuch; rule add inject-error event=pwritev errno=EIO',
  'rule remove 1; rules; events -n 5; state 7; help; quit; ; \t; #; "; \'; write; read 99999999999999999999 1; live on',
  'history; !echo x; export list; diff; where 0; check',
].flatMap((some) => some.split('; '));

const params =
  'line terminal confirmed client to kinds events requests nodes iotypes node all counts limit filter name __proto__ nosuch'.split(
    ' ',
  );

/** Any value of JSON, seldom a large one. */
function value(random: Random, depth = 0): unknown {
  const kinds: (() => unknown)[] = [
    () => random.pick(lines),
    () => random.between(-5, 5),
    () => random.pick([1e308, -1e308, 2 ** 53, 0.5, 1e21]),
    () => random.chance(50),
    () => null,
    () =>
      random.pick(['records', 'snapshots', 'events', 'event', 'suspend', 'pwritev', 'read', 'console 1', '#block000']),
    () => '\u{1f600}\ud800\u0000\u001b[2J'.repeat(random.between(1, 20)),
    () => 'x'.repeat(random.pick([1, 300, 70_000])),
    () => (depth > 3 ? [] : Array.from({ length: random.below(4) }, () => value(random, depth + 1))),
    () => (depth > 3 ? {} : Object.fromEntries([[random.pick(params), value(random, depth + 1)]])),
  ];
  return random.pick(kinds)();
}

/** A call that is mostly well formed. */
function call(random: Random): unknown {
  const isCommand = random.chance(60);
  const method = isCommand ? 'command' : random.pick(methods);
  const given: Record<string, unknown> = isCommand ? { line: random.pick(lines) } : {};
  while (random.chance(40)) given[random.pick(params)] = value(random);
  const message: Record<string, unknown> = { jsonrpc: '2.0', id: random.between(1, 9), method, params: given };
  if (random.chance(10)) delete message[random.pick(Object.keys(message))];
  if (random.chance(10)) message[random.pick(['jsonrpc', 'id', 'method', 'params', 'result', 'error'])] = value(random);
  return message;
}

function damaged(random: Random, text: string): string | Buffer {
  const bytes = Buffer.from(text);
  switch (random.below(4)) {
    case 0:
      return bytes.subarray(0, random.below(bytes.length));
    case 1:
      for (let count = random.between(1, 8); count > 0; count -= 1)
        bytes[random.below(bytes.length)] = random.below(256);
      return bytes;
    case 2: {
      const at = random.below(text.length);
      return text.slice(0, at) + random.pick(['\n', '\r\n', '\0', '"', '}', '[', '\\']) + text.slice(at);
    }
    default:
      return text.repeat(random.between(2, 5));
  }
}

/** Text for one step. */
function words(random: Random): string | Buffer {
  const kind = random.below(100);
  if (kind < 55) return `${JSON.stringify(call(random))}\n`;
  if (kind < 70) return damaged(random, `${JSON.stringify(call(random))}\n`);
  if (kind < 76) return `${JSON.stringify(Array.from({ length: random.below(120) }, () => call(random)))}\n`;
  if (kind < 80) return random.bytes(random.between(1, 2000));
  if (kind < 84) return '['.repeat(random.between(1, 200_000)) + random.pick(['\n', ']\n', '']);
  if (kind < 88) return `${'{"jsonrpc":'.repeat(random.between(1, 30_000))}\n`;
  if (kind < 91) return random.pick(['\n', ' \n', '{}\n', '1\n']).repeat(random.between(1, 3000));
  if (kind < 93) return 'x'.repeat(random.pick([(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20]));
  if (kind < 96) return random.pick(['{"want":"latest"}\n', '{"want":"latest"}', '{"want":"all"}\n']);
  return `${JSON.stringify(call(random))}\n`.repeat(random.between(10, 200));
}

/** The conversation of this number. */
export function conversation(seed: string, number: number): Conversation {
  const random = new Random(`consoles ${seed} ${number}`);
  const steps = Array.from({ length: random.between(1, 8) }, (): Step => {
    const kind = random.below(100);
    if (kind < 75) return { kind: 'send', text: words(random) };
    if (kind < 85) return { kind: 'turn' };
    if (kind < 92) return { kind: 'pause' };
    return { kind: kind < 96 ? 'resume' : 'end' };
  });
  return { steps, isKilled: random.chance(60) };
}
