/** Random options of blkdebug: limits and rules with all of their attributes, as options, as a config file or as JSON. */
import fc from 'fast-check';
import { present } from './image-kind.ts';

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

/** Events that raw images and the generic layer fire, and one that never happens there. */
const event = fc.constantFrom(
  'read_aio',
  'write_aio',
  'pwritev',
  'pwritev_zero',
  'pwritev_done',
  'pwritev_rmw_head',
  'pwritev_rmw_after_head',
  'pwritev_rmw_tail',
  'pwritev_rmw_after_tail',
  'flush_to_os',
  'flush_to_disk',
  'none',
  'l2_load',
);
const state = fc.constantFrom('0', '1', '2', '3');
/** Fast-check makes a value in all but one of `freq` cases: with 1 never. */
const rarely = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 });

const injectError: fc.Arbitrary<Rule> = fc
  .record({
    event,
    state: rarely(state),
    errno: rarely(fc.constantFrom('1', '5', '12', '22', '28', '95', '0', '77')),
    sector: rarely(fc.nat(600).map(String)),
    once: fc.constantFrom('on', 'on', 'on', 'off', undefined),
    immediately: rarely(fc.constantFrom('on', 'off')),
    iotype: rarely(fc.constantFrom('read', 'write', 'write-zeroes', 'discard', 'flush', 'block-status')),
  })
  .map((attributes) => ({ kind: 'inject-error', attributes: present(attributes) }));

const setState: fc.Arbitrary<Rule> = fc
  .record({ event, state: rarely(state), new_state: rarely(state) })
  .map((attributes) => ({ kind: 'set-state', attributes: present(attributes) }));

/** A power of two, seldom something that is refused. */
const powerOfTwo = (from: number, to: number) =>
  fc.oneof(
    { weight: 60, arbitrary: fc.integer({ min: from, max: to }).map((bits) => String(2 ** bits)) },
    fc.constantFrom('3', '1000', '0'),
  );

const limits = fc
  .record({
    align: rarely(powerOfTwo(9, 16)),
    'max-transfer': rarely(powerOfTwo(12, 17)),
    'opt-write-zero': rarely(powerOfTwo(12, 16)),
    'max-write-zero': rarely(powerOfTwo(13, 17)),
    'opt-discard': rarely(powerOfTwo(12, 16)),
    'max-discard': rarely(powerOfTwo(13, 17)),
  })
  .map(present);

export const debugOptions: fc.Arbitrary<DebugOptions> = fc.record({
  limits: fc.oneof({ weight: 2, arbitrary: limits }, fc.constant({})),
  rules: fc.array(fc.oneof({ weight: 2, arbitrary: injectError }, setState), { maxLength: 6 }),
  asFile: fc.boolean(),
});

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
