/**
 * The settings of a rule as values: the one form between what a command, a file or an option says and the rule itself.
 */
import { anyEventName, type FaultKind, faultKinds, type RuleKind, type RuleWords } from '../../../block/debug/rules.ts';
import { invalidArgument } from '../../../block/error.ts';
import { type DebugEvent, Event, eventByName, eventNames } from '../../../block/events/events.ts';
import { Options } from '../../../block/options/options.ts';
import { Errno, errnoByName } from '../../../util/errno.ts';
import { type AttributeTypes, takeAttributes } from '../attributes.ts';
import { faults, isFaultKind } from '../actions/index.ts';
import { ioTypeNames, type IoTypeName } from './condition.ts';
import { parseWhen, type Probability, type When } from './counting.ts';
import type { ByteRange } from './location.ts';
import { parseCount } from './numbers.ts';
import { ANY_EVENT, ruleEventName } from './rule.ts';
import {
  parseDelay,
  parseEvent,
  parseIoType,
  parseOperation,
  parseProbability,
  parseRange,
  parseRequest,
  parseSeed,
} from './setting-values.ts';

/** Every setting that some rule has; see `settingNames` for which kind has which. */
interface SettingValues {
  event: DebugEvent;
  errno: number;
  'delay-ns': number;
  new_state: number;
  tag: string;
  l2: string;
  refcount: string;
  cluster: string;
  range: string;
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

const { offset: _offset, ...withoutOffset } = ownTypes;

/** The parts of an image that a watch is of, each with its offset or range. */
const watchTypes = { l2: 'string', refcount: 'string', cluster: 'string', range: 'string' } as const;

/** Names of the settings beyond QEMU's. */
export const ownNames = [...(Object.keys(ownTypes) as readonly (keyof typeof ownTypes)[]), 'delay-ns'] as const;

/** Types of the settings of faults that are not words: as for inject-error. */
const faultTypes: AttributeTypes = { errno: 'number', sector: 'number', once: 'bool' };

const typesOf: Readonly<Record<RuleKind, AttributeTypes>> = {
  'inject-error': { ...qemuTypes['inject-error'], ...ownTypes, 'delay-ns': 'string' },
  'set-state': { ...qemuTypes['set-state'], ...ownTypes },
  suspend: {
    event: 'string',
    tag: 'string',
    state: 'number',
    sector: 'number',
    iotype: 'string',
    once: 'bool',
    ...ownTypes,
  },
  watch: {
    tag: 'string',
    ...watchTypes,
    state: 'number',
    iotype: 'string',
    once: 'bool',
    ...withoutOffset,
  },
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
  watch: ['tag'],
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
  event: { value: parseEvent, text: ruleEventName },
  errno: whole,
  'delay-ns': { value: parseDelay, text: String },
  new_state: whole,
  tag: word,
  l2: word,
  refcount: word,
  cluster: word,
  range: word,
  text: word,
  how: word,
  on: word,
  bits: word,
  sectors: word,
  to: word,
  state: whole,
  node: word,
  request: { value: parseRequest, text: String },
  op: { value: parseOperation, text: String },
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
  if (event !== undefined && !isEvent(kind, event)) throw invalidArgument(`there is no event '${event}'`);
  const errno = given.get('errno');
  if (errno !== undefined) given.set('errno', errnoNumber(errno));
  if (event === anyEventName) given.delete('event');
  Object.assign(merged, valuesOf(takeAttributes(new Options(given), typesOf[kind])));
  if (event === anyEventName) merged.event = ANY_EVENT;
  if (kind === 'watch') merged.event = Event.NONE;
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
  if (kind === 'watch') return 'a watch';
  return kind === 'suspend' ? 'a breakpoint' : kind;
}

/** Whether a rule of a kind may have this event: what only stops or tells may have any. */
function isEvent(kind: RuleKind, event: string): boolean {
  return eventByName(event) !== undefined || (event === anyEventName && (kind === 'suspend' || kind === 'log'));
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
