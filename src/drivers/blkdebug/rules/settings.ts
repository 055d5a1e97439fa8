/**
 * The settings of a rule as values: the one form between what a command, a file or an option says and the rule itself.
 */
import { type FaultKind, faultKinds, type RuleKind, type RuleWords } from '../../../block/debug/rules.ts';
import { invalidArgument } from '../../../block/error.ts';
import { type DebugEvent, Event, eventByName, eventName, eventNames } from '../../../block/events/events.ts';
import { Options } from '../../../block/options/options.ts';
import { Errno, errnoByName } from '../../../util/errno.ts';
import { parseSize } from '../../../util/size.ts';
import { type AttributeTypes, takeAttributes } from '../attributes.ts';
import { faults, isFaultKind } from '../actions/index.ts';
import { ioTypeNames, type IoTypeName, isIoTypeName } from './condition.ts';
import { parseWhen, type Probability, type When } from './counting.ts';
import { ByteRange } from './location.ts';
import { parseCount } from './numbers.ts';

/** Every setting that some rule has; see `settingNames` for which kind has which. */
interface SettingValues {
  event: DebugEvent;
  errno: number;
  'delay-ns': number;
  new_state: number;
  tag: string;
  text: string;
  how: string;
  on: string;
  bits: string;
  sectors: string;
  to: string;
  state: number;
  node: string;
  request: number;
  op: string;
  sector: bigint;
  offset: ByteRange;
  iotype: IoTypeName;
  probability: Probability;
  seed: number;
  nth: number;
  when: When;
  times: number;
  once: boolean;
  immediately: boolean;
}

/** A setting's name. */
export type SettingName = keyof SettingValues;

/** The settings of one rule. What only repeats the default is left out, except for what the rule does. */
export type RuleSettings = Readonly<Partial<SettingValues>> & { readonly event: DebugEvent };

/**
 * The settings that QEMU knows for each kind of section (QAPI: BlkdebugInjectErrorOptions, BlkdebugSetStateOptions).
 */
export const qemuTypes = {
  'inject-error': {
    event: 'string',
    state: 'number',
    iotype: 'string',
    errno: 'number',
    sector: 'number',
    once: 'bool',
    immediately: 'bool',
  },
  'set-state': { event: 'string', state: 'number', new_state: 'number' },
} as const;

/** Settings beyond QEMU's. Commands can give them; config files and image options cannot. */
const ownTypes = {
  offset: 'string',
  node: 'string',
  request: 'string',
  op: 'string',
  probability: 'string',
  seed: 'string',
  nth: 'string',
  when: 'string',
  times: 'string',
} as const;

/** Names of the settings beyond QEMU's. */
export const ownNames = [...(Object.keys(ownTypes) as readonly (keyof typeof ownTypes)[]), 'delay-ns'] as const;

/** Types of the settings of faults that are not words: as for inject-error. */
const faultTypes: AttributeTypes = { errno: 'number', sector: 'number', once: 'bool' };

const typesOf: Readonly<Record<RuleKind, AttributeTypes>> = {
  'inject-error': { ...qemuTypes['inject-error'], ...ownTypes, 'delay-ns': 'string' },
  'set-state': { ...qemuTypes['set-state'], ...ownTypes },
  suspend: { event: 'string', tag: 'string', state: 'number', once: 'bool', ...ownTypes },
  log: { event: 'string', text: 'string', state: 'number', once: 'bool', ...ownTypes },
  ...byFaultKind((kind) => {
    const names = Object.keys(faults[kind].settings);
    const own = Object.fromEntries(names.map((name) => [name, faultTypes[name] ?? 'string']));
    return { event: 'string', state: 'number', ...ownTypes, ...own };
  }),
};

const neededNames: Readonly<Record<RuleKind, readonly SettingName[]>> = {
  'inject-error': ['event'],
  'set-state': ['event', 'new_state'],
  suspend: ['event', 'tag'],
  log: ['event'],
  ...byFaultKind((kind) => faults[kind].needed),
};

function byFaultKind<T>(make: (kind: FaultKind) => T): Record<FaultKind, T> {
  return Object.fromEntries(faultKinds.map((kind) => [kind, make(kind)])) as Record<FaultKind, T>;
}

/** QEMU's types of values, as `takeAttributes` gives them. */
type Given = string | boolean | bigint;

interface Setting<T> {
  /** The value of what was given. EINVAL if it makes no sense. */
  readonly value: (given: never) => T;
  /** The value as it is written in a command or file. */
  readonly text: (value: T) => string;
}

const whole = { value: (given: bigint) => Number(BigInt.asIntN(32, given)), text: String } as const;
const word = { value: (given: string) => given, text: String } as const;
const flag = { value: (given: boolean) => given, text: (value: boolean) => (value ? 'on' : 'off') } as const;

/** In the order in which they are checked and shown. Numbers are kept as QEMU keeps them: their low 32 bits, signed. */
const settings: { readonly [Name in SettingName]: Setting<SettingValues[Name]> } = {
  event: { value: parseEvent, text: eventName },
  errno: whole,
  'delay-ns': { value: parseDelay, text: String },
  new_state: whole,
  tag: word,
  text: word,
  how: word,
  on: word,
  bits: word,
  sectors: word,
  to: word,
  state: whole,
  node: word,
  request: { value: parseRequest, text: String },
  op: word,
  sector: { value: (given: bigint) => given, text: String },
  offset: { value: parseRange, text: ({ text }) => text },
  iotype: { value: parseIoType, text: String },
  probability: { value: parseProbability, text: ({ text }) => text },
  seed: { value: parseSeed, text: String },
  nth: { value: (given: string) => parseCount('nth', given), text: String },
  when: { value: parseWhen, text: ({ text }) => text },
  times: { value: (given: string) => parseCount('times', given), text: String },
  once: flag,
  immediately: flag,
};

const settingNames = Object.keys(settings) as readonly SettingName[];

/** Settings of the action of a rule, as opposed to its conditions. */
const actionNames: ReadonlySet<SettingName> = new Set([
  'event',
  'errno',
  'new_state',
  'tag',
  'text',
  'how',
  'on',
  'sectors',
  'to',
]);

/** `sector` of this value stands for every sector, and for requests that have none. */
const ANY_SECTOR = 0xffff_ffff_ffff_ffffn;

function parseEvent(name: string): DebugEvent {
  const event = eventByName(name);
  if (event === undefined) throw invalidArgument(`invalid parameter value: ${name}`);
  return event;
}

function parseIoType(name: string): IoTypeName {
  if (!isIoTypeName(name)) throw invalidArgument(`invalid parameter value: ${name}`);
  return name;
}

/** "A..B", from A to before B, in the shell's notations of sizes. */
function parseRange(text: string): ByteRange {
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
function parseRequest(text: string): number {
  const digits = /^[a-z]?([0-9]{1,15})$/.exec(text)?.[1];
  if (digits === undefined) throw invalidArgument(`'request' expects the number of a request, not '${text}'`);
  return Number(digits);
}

function parseProbability(text: string): Probability {
  if (!/^(?:[0-9]+\.?|[0-9]*\.[0-9]+)$/.test(text) || Number(text) > 1) {
    throw invalidArgument(`'probability' expects a number from 0 to 1, not '${text}'`);
  }
  return { value: Number(text), text };
}

function parseSeed(text: string): number {
  if (!/^[0-9]{1,10}$/.test(text) || Number(text) > 0xffff_ffff) {
    throw invalidArgument(`'seed' expects a number below 2^32, not '${text}'`);
  }
  return Number(text);
}

/** The longest delay that a timer of the host takes. */
const DELAY_NS_MAX = 2_147_483_647_000_000;

function parseDelay(text: string): number {
  const delay = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
  if (delay > DELAY_NS_MAX) {
    throw invalidArgument(`'delay-ns' expects nanoseconds from 0 to ${DELAY_NS_MAX}, not '${text}'`);
  }
  return delay;
}

/** The settings of a section of a file or of options, whose values are of QEMU's types. EINVAL as QEMU refuses them. */
export function settingsFromSection(
  kind: RuleKind,
  given: Readonly<Partial<Record<SettingName, Given>>>,
): RuleSettings {
  return complete(kind, valuesOf(given));
}

/**
 * The settings that the words of a command make. With `old`, those of a rule that is changed, the words change some
 * settings, and an empty word removes one. EINVAL for words that make no rule of this kind.
 */
export function settingsFromWords(kind: RuleKind, words: RuleWords, old?: RuleSettings): RuleSettings {
  const given = new Map(words);
  for (const name of given.keys()) {
    if (!Object.hasOwn(typesOf[kind], name)) throw invalidArgument(`${noun(kind)} has no '${name}'`);
  }
  const merged: Partial<SettingValues> = { ...old };
  if (old !== undefined) {
    for (const [name, text] of words) {
      if (text !== '') continue;
      given.delete(name);
      delete merged[name as SettingName];
    }
  }
  for (const name of neededNames[kind]) {
    if (!given.has(name) && merged[name] === undefined) throw invalidArgument(`${noun(kind)} needs '${name}'`);
  }
  const event = given.get('event');
  if (event !== undefined && eventByName(event) === undefined) throw invalidArgument(`there is no event '${event}'`);
  const errno = given.get('errno');
  if (errno !== undefined) given.set('errno', errnoNumber(errno));
  Object.assign(merged, valuesOf(takeAttributes(new Options(given), typesOf[kind])));
  if (isFaultKind(kind)) completeFault(merged);
  if (merged.seed !== undefined && merged.probability === undefined && kind !== 'corrupt') {
    if (given.has('seed')) throw invalidArgument("'seed' goes with 'probability'");
    delete merged.seed;
  }
  return complete(kind, merged);
}

/**
 * A fault without an event acts on all requests that it finds: it is active from the start. What is asked of the moment
 * of an event makes no sense then.
 */
function completeFault(merged: Partial<SettingValues>): void {
  merged.event ??= Event.NONE;
  if (merged.event !== Event.NONE) return;
  for (const name of ['state', 'node', 'request', 'op'] as const) {
    if (merged[name] !== undefined) throw invalidArgument(`'${name}' goes with an 'event' other than none`);
  }
}

function noun(kind: RuleKind): string {
  return kind === 'suspend' ? 'a breakpoint' : kind;
}

/** "ENOSPC" as "28"; what does not look like a name is left to the parser of numbers. */
function errnoNumber(text: string): string {
  if (!/^[A-Za-z]/.test(text)) return text;
  const errno = errnoByName(text.toUpperCase());
  if (errno === undefined) throw invalidArgument(`there is no errno '${text}'`);
  return String(errno);
}

function valuesOf(given: Readonly<Partial<Record<SettingName, Given>>>): Partial<SettingValues> {
  const values: Partial<Record<SettingName, unknown>> = {};
  for (const name of settingNames) {
    const one = given[name];
    if (one !== undefined) values[name] = (settings[name].value as (given: Given) => unknown)(one);
  }
  return values as Partial<SettingValues>;
}

/** Adds what the rule does by default, and leaves out conditions that only say the default. */
function complete(kind: RuleKind, { event, ...given }: Partial<SettingValues>): RuleSettings {
  if (event === undefined) throw invalidArgument('Missing event name for rule');
  if (given.state === 0) delete given.state;
  if (given.sector === ANY_SECTOR) delete given.sector;
  const defaultOnce = kind === 'suspend' && given.times === undefined;
  if (given.once === defaultOnce) delete given.once;
  if (given.immediately === false) delete given.immediately;
  if (given['delay-ns'] === 0) delete given['delay-ns'];
  switch (kind) {
    case 'inject-error':
      return { errno: Errno.EIO, ...given, event };
    case 'set-state':
      return { new_state: 0, ...given, event };
    case 'suspend':
      return { tag: '', ...given, event };
    default:
      return { ...given, event };
  }
}

/** All settings as they are written, by name. */
export function settingTexts(given: RuleSettings): Map<SettingName, string> {
  const texts = new Map<SettingName, string>();
  for (const name of settingNames) {
    const value = given[name];
    if (value !== undefined) texts.set(name, (settings[name].text as (value: unknown) => string)(value));
  }
  return texts;
}

/** The conditions as they are written: "state=2", "once=on". */
export function conditionTexts(given: RuleSettings): string[] {
  return Array.from(settingTexts(given)).flatMap(([name, text]) => (actionNames.has(name) ? [] : [`${name}=${text}`]));
}

const knownValues: Readonly<Partial<Record<SettingName, readonly string[]>>> = {
  event: eventNames,
  iotype: ioTypeNames,
  errno: ['EIO', 'ENOSPC', 'EINVAL', 'ENOMEM', 'EPERM', 'EACCES', 'EAGAIN', 'ENOTSUP', 'ECANCELED', 'EDQUOT'],
  once: ['on', 'off'],
  immediately: ['on', 'off'],
};

/** The settings that a command may give for a kind, each with its known values. */
export function knownSettings(kind: RuleKind): Readonly<Record<string, readonly string[]>> {
  const names = Object.keys(typesOf[kind]) as SettingName[];
  const own = isFaultKind(kind) ? faults[kind].settings : {};
  return Object.fromEntries(names.map((name) => [name, own[name] ?? knownValues[name] ?? []]));
}
