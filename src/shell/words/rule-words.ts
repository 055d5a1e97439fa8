/** How commands speak of rules: whose rules they are, `key=value` words, numbers of rules, and what could be typed. */
import { debugNode, debugNodes, findDebugPort, portOf } from '../../block/debug/port.ts';
import { BlockError } from '../../block/error.ts';
import { type RuleKind, ruleKinds, type Rules } from '../../block/debug/rules.ts';
import { Errno } from '../../util/errno.ts';
import type { SessionState } from '../session-state.ts';
import { hintClosest } from './closest.ts';

/**
 * The rules of the node of this name; with null of the node that breakpoints go to, the first from the top down.
 * ENOTSUP if no node has rules, ENOENT if this one has none.
 */
export function rulesOf({ top }: SessionState, nodeName: string | null): Rules {
  const nodes = debugNodes(top);
  const node = nodeName === null ? debugNode(top) : nodes.find((one) => one.nodeName === nodeName);
  const port = node ? portOf(node) : undefined;
  if (port !== undefined) return port.rules;
  const names = nodes.map((one) => one.nodeName);
  if (nodeName === null || names.length === 0) {
    throw new BlockError(Errno.ENOTSUP, 'this image has no rules: open it through blkdebug ("blkdebug::FILE")');
  }
  throw new BlockError(Errno.ENOENT, `node '${nodeName}' has no rules; these have: ${names.join(', ')}`);
}

/** Whether a word is `key=value`. */
export function isSetting(word: string): boolean {
  return /^[a-z_]+=/.test(word);
}

/** `key=value` words as settings. EINVAL for any other word, and for a key that comes twice. */
export function settingsFrom(words: readonly string[]): Map<string, string> {
  const settings = new Map<string, string>();
  for (const word of words) {
    if (!/^[a-z_-]+=/.test(word)) throw new BlockError(Errno.EINVAL, `'${word}' is not of the form key=value`);
    const equals = word.indexOf('=');
    const key = word.slice(0, equals);
    if (settings.has(key)) throw new BlockError(Errno.EINVAL, `'${key}' is given twice`);
    settings.set(key, word.slice(equals + 1));
  }
  return settings;
}

/** The number of a rule. EINVAL for a word that cannot be one. */
export function ruleNumber(word: string): number {
  if (!/^[0-9]{1,15}$/.test(word)) throw new BlockError(Errno.EINVAL, `'${word}' is not the number of a rule`);
  return Number(word);
}

/** Numbers of rules, in their order; `all` stands for those of all rules. */
export function ruleNumbers(rules: Rules, words: readonly string[]): number[] {
  if (words.includes('all')) return rules.list().map(({ number }) => number);
  return [...new Set(words.map(ruleNumber))].sort((a, b) => a - b);
}

/** Says on a terminal what is wrong with settings: a key without a value, an unknown key, an unknown value. */
export function hintSettings(session: SessionState, words: readonly string[]): void {
  const rules = session.backend === null ? undefined : findDebugPort(session.top)?.rules;
  if (rules === undefined) return;
  const known = new Map<string, readonly string[]>();
  for (const kind of ruleKinds) {
    for (const [key, values] of Object.entries(rules.settingsOf(kind))) known.set(key, values);
  }
  for (const word of words) {
    const equals = word.indexOf('=');
    const key = equals < 0 ? word : word.slice(0, equals);
    const values = known.get(key);
    if (values === undefined) hintClosest(session, key, [...known.keys()]);
    else if (equals < 0) session.hint(`${key} needs a value: ${key}=…`);
    else if (!values.includes(word.slice(equals + 1))) hintClosest(session, word.slice(equals + 1), values);
  }
}

/** Candidates for a setting of a kind of rule: keys, and the values of the key that is there. */
export function settingCandidates(session: SessionState, kind: RuleKind, word: string): string[] {
  const known = findDebugPort(session.top)?.rules.settingsOf(kind) ?? {};
  const key = word.slice(0, word.indexOf('=') + 1);
  if (key === '') return Object.keys(known).map((name) => `${name}=`);
  return (known[key.slice(0, -1)] ?? []).map((value) => key + value);
}
