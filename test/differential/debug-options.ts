/**
 * Random options of blkdebug: limits and rules with all of their attributes, as options, as a config file or as JSON.
 */
import fc from 'fast-check';
import { inPercent, present } from './image-kind.ts';

export interface Rule {
  readonly kind: 'inject-error' | 'set-state';
  readonly attributes: Readonly<Record<string, string>>;
}

export interface DebugOptions {
  readonly limits: Readonly<Record<string, string>>;
  readonly rules: readonly Rule[];
  /** Whether the rules are given in a config file instead of as options. */
  readonly asFile: boolean;
}

const state = fc.constantFrom('0', '1', '2', '3');

const injectError = (event: fc.Arbitrary<string>): fc.Arbitrary<Rule> =>
  fc
    .record({
      event,
      state: inPercent(25, state),
      errno: inPercent(25, fc.constantFrom('1', '5', '12', '22', '28', '95', '0', '77')),
      sector: inPercent(25, fc.nat(600).map(String)),
      once: fc.constantFrom('on', 'on', 'on', 'off', undefined),
      immediately: inPercent(25, fc.constantFrom('on', 'off')),
      iotype: inPercent(25, fc.constantFrom('read', 'write', 'write-zeroes', 'discard', 'flush', 'block-status')),
    })
    .map((attributes) => ({ kind: 'inject-error', attributes: present(attributes) }));

const setState = (event: fc.Arbitrary<string>): fc.Arbitrary<Rule> =>
  fc
    .record({ event, state: inPercent(25, state), new_state: inPercent(25, state) })
    .map((attributes) => ({ kind: 'set-state', attributes: present(attributes) }));

/** A power of two, seldom something that is refused. */
const powerOfTwo = (from: number, to: number) =>
  fc.oneof(
    { weight: 60, arbitrary: fc.integer({ min: from, max: to }).map((bits) => String(2 ** bits)) },
    fc.constantFrom('3', '1000', '0'),
  );

const limits = fc
  .record({
    align: inPercent(25, powerOfTwo(9, 16)),
    'max-transfer': inPercent(25, powerOfTwo(12, 17)),
    'opt-write-zero': inPercent(25, powerOfTwo(12, 16)),
    'max-write-zero': inPercent(25, powerOfTwo(13, 17)),
    'opt-discard': inPercent(25, powerOfTwo(12, 16)),
    'max-discard': inPercent(25, powerOfTwo(13, 17)),
  })
  .map(present);

/** Rules listen to one of `events`. */
export function debugOptions(events: readonly string[]): fc.Arbitrary<DebugOptions> {
  const event = fc.constantFrom(...events);
  const rule = fc.oneof({ weight: 2, arbitrary: injectError(event) }, setState(event));
  return fc.record({
    limits: fc.oneof({ weight: 2, arbitrary: limits }, fc.constant({})),
    rules: fc.array(rule, { maxLength: 6 }),
    asFile: fc.boolean(),
  });
}

/** The text of a config file with these rules. */
export function configFile(rules: readonly Rule[]): string {
  return rules
    .map(
      ({ kind, attributes }) =>
        `[${kind}]\n${Object.entries(attributes)
          .map(([key, value]) => `${key} = "${value}"\n`)
          .join('')}`,
    )
    .join('\n');
}

/** The rules as flat options: `inject-error.0.event`, … */
export function ruleOptions(rules: readonly Rule[]): Record<string, string> {
  const counts = { 'inject-error': 0, 'set-state': 0 };
  const options: Record<string, string> = {};
  for (const { kind, attributes } of rules) {
    const index = counts[kind]++;
    for (const [key, value] of Object.entries(attributes)) options[`${kind}.${index}.${key}`] = value;
  }
  return options;
}
