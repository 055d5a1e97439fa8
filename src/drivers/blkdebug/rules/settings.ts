/**
 * The settings of a rule as values: the one form between what a command, a file or an option says and the rule itself.
 */
import type { RuleKind, RuleWords } from '../../../block/debug/rules.ts';
import { invalidArgument } from '../../../block/error.ts';
import { type DebugEvent, eventByName, eventName, eventNames } from '../../../block/events/events.ts';
import { Options } from '../../../block/options/options.ts';
import { Errno, errnoByName } from '../../../util/errno.ts';
import { parseSize } from '../../../util/size.ts';
import { takeAttributes } from '../attributes.ts';
import { ioTypeNames, type IoTypeName, isIoTypeName } from './condition.ts';
import type { Probability } from './counting.ts';
import { ByteRange } from './location.ts';

/** Every setting that some rule has; see `settingNames` for which kind has which. */
interface SettingValues {
  event: DebugEvent;
  errno: number;
  new_state: number;
  tag: string;
  state: number;
  node: string;
  sector: bigint;
  offset: ByteRange;
  iotype: IoTypeName;
  probability: Probability;
  seed: number;
  nth: number;
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
  probability: 'string',
  seed: 'string',
  nth: 'string',
  times: 'string',
} as const;

/** Names of the settings beyond QEMU's. */
export const ownNames = Object.keys(ownTypes) as readonly (keyof typeof ownTypes)[];

const typesOf = {
  'inject-error': { ...qemuTypes['inject-error'], ...ownTypes },
  'set-state': { ...qemuTypes['set-state'], ...ownTypes },
  suspend: { event: 'string', tag: 'string', state: 'number', once: 'bool', ...ownTypes },
} as const;

const neededNames: Readonly<Record<RuleKind, readonly SettingName[]>> = {
  'inject-error': ['event'],
  'set-state': ['event', 'new_state'],
  suspend: ['event', 'tag'],
};

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
  new_state: whole,
  tag: word,
  state: whole,
  node: word,
  sector: { value: (given: bigint) => given, text: String },
  offset: { value: parseRange, text: ({ text }) => text },
  iotype: { value: parseIoType, text: String },
  probability: { value: parseProbability, text: ({ text }) => text },
  seed: { value: parseSeed, text: String },
  nth: { value: (given: string) => parseCount('nth', given), text: String },
  times: { value: (given: string) => parseCount('times', given), text: String },
  once: flag,
  immediately: flag,
};

const settingNames = Object.keys(settings) as readonly SettingName[];

/** Settings of the action of a rule, as opposed to its conditions. */
const actionNames: ReadonlySet<SettingName> = new Set(['event', 'errno', 'new_state', 'tag']);

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

function parseCount(name: string, text: string): number {
  const count = /^[0-9]+$/.test(text) ? Number(text) : 0;
  if (count === 0 || !Number.isSafeInteger(count)) {
    throw invalidArgument(`'${name}' expects a number from 1 on, not '${text}'`);
  }
  return count;
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
  if (merged.seed !== undefined && merged.probability === undefined) {
    if (given.has('seed')) throw invalidArgument("'seed' goes with 'probability'");
    delete merged.seed;
  }
  return complete(kind, merged);
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
  switch (kind) {
    case 'inject-error':
      return { errno: Errno.EIO, ...given, event };
    case 'set-state':
      return { new_state: 0, ...given, event };
    case 'suspend':
      return { tag: '', ...given, event };
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
  return Object.fromEntries(names.map((name) => [name, knownValues[name] ?? []]));
}
