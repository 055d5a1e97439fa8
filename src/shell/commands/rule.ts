/** `rule`: adds, changes, disables, loads and saves rules while requests are in flight. Not in qemu-io. */
import { writeFileSync } from 'node:fs';
import { BlockError, withContext } from '../../block/error.ts';
import type { Rules, RuleKind } from '../../block/debug/rules.ts';
import { Errno } from '../../util/errno.ts';
import { usage } from '../failure.ts';
import type { Command, OperandKind } from '../command.ts';
import {
  rulesOf,
  ruleNumber,
  ruleNumbers,
  hintSettings,
  settingCandidates,
  settingsFrom,
} from '../words/rule-words.ts';
import { hintClosest } from '../words/closest.ts';
import type { SessionState } from '../session-state.ts';
import { OptionTable, textSetting } from '../words/options.ts';

const options = new OptionTable({
  node: textSetting('n', 'node', 'the rules of this node; without it of the one that breakpoints go to'),
});

export const rule = {
  name: 'rule',
  args: 'add|set|disable|enable|remove|load|save ...',
  oneline: 'changes the rules of blkdebug',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: true,
  options,
  help: [
    '  rule add inject-error event=EVENT [errno=ENOSPC] [state=N] [sector=N] [iotype=read] [once=on] [immediately=on]',
    '  rule add set-state event=EVENT [state=N] new_state=N',
    '  rule set N key=value...              changes rule N; "key=" removes a condition',
    '  rule disable|enable|remove N...|all  enable also arms exhausted rules again',
    '  rule load FILE                       adds the rules of a blkdebug.conf',
    '  rule save FILE                       writes them as one, for qemu-io',
    '',
    'Conditions that only blkscope has; they go with rules and with breakpoints:',
    '  nth=N            only the Nth time that everything else holds',
    '  times=N          at most N times',
    '  probability=P    at random, P from 0 to 1; the same draws in every run, others with another seed=N',
    '  offset=A..B      inject-error: requests to the file below that touch the bytes from A to before B;',
    '                   else: commands whose range touches these bytes of the image',
    '  node=NAME        only in a read, write, discard or truncate that came through the node or driver NAME, which is',
    '                   above the rules; not in what it does by itself when it is opened, flushed and closed',
    '',
    'A rule for the event none is evaluated when it is added, since none fired when the image was opened.',
  ],
  operands: operandKind,
  run: runRule,
} satisfies Command;

function runRule(session: SessionState, argv: string[]): void {
  const parsed = options.parse(session, argv);
  const [action = '', ...words] = parsed.operands;
  const run = actions.get(action);
  if (run === undefined || words.length === 0) {
    if (run === undefined) hintClosest(session, action, [...actions.keys()]);
    throw usage();
  }
  try {
    run(session, rulesOf(session, parsed.options.node), words);
  } catch (error) {
    if (error instanceof BlockError && error.errno === Errno.EINVAL) hintSettings(session, words);
    throw error;
  }
}

type Action = (session: SessionState, rules: Rules, words: readonly string[]) => void;

const actions: ReadonlyMap<string, Action> = new Map<string, Action>([
  ['add', addRule],
  ['set', (_session, rules, [number = '', ...words]) => rules.change(ruleNumber(number), settingsFrom(words))],
  ['disable', (_session, rules, words) => rules.disable(ruleNumbers(rules, words))],
  ['enable', (_session, rules, words) => rules.enable(ruleNumbers(rules, words))],
  ['remove', (_session, rules, words) => rules.remove(ruleNumbers(rules, words))],
  ['load', (session, rules, words) => loadRules(session, rules, onlyWord(words))],
  ['save', (session, rules, words) => saveRules(session, rules, onlyWord(words))],
]);

/** Breakpoints are made by `break`. */
const kinds: readonly RuleKind[] = ['inject-error', 'set-state'];

function addRule(session: SessionState, rules: Rules, [name = '', ...words]: readonly string[]): void {
  const kind = kinds.find((known) => known === name);
  if (kind === undefined) {
    hintClosest(session, name, kinds);
    throw new BlockError(Errno.EINVAL, `a rule is inject-error or set-state, not '${name}'`);
  }
  const number = rules.add(kind, settingsFrom(words));
  session.output.stdout(`rule ${number} added\n`);
}

function loadRules(session: SessionState, rules: Rules, file: string): void {
  const numbers = rules.load(file);
  const [first] = numbers;
  if (first === undefined) session.output.stdout(`no rules in ${file}\n`);
  else if (numbers.length === 1) session.output.stdout(`rule ${first} added\n`);
  else session.output.stdout(`rules ${first} to ${numbers.at(-1)} added\n`);
}

function saveRules(session: SessionState, rules: Rules, file: string): void {
  const { text, warnings } = rules.save();
  withContext(`Could not write '${file}'`, () => writeFileSync(file, text));
  for (const warning of warnings) session.warn(warning);
}

function onlyWord([word = '', ...more]: readonly string[]): string {
  if (more.length > 0) throw usage();
  return word;
}

function operandKind(session: SessionState, [action, ...before]: readonly string[], word: string): OperandKind {
  switch (action) {
    case undefined:
      return [...actions.keys()];
    case 'add': {
      const kind = kinds.find((known) => known === before[0]);
      return kind === undefined ? kinds : settingCandidates(session, kind, word);
    }
    case 'set': {
      const view = rulesOf(session, null).find(Number(before[0]));
      return view === undefined ? numberWords(session) : settingCandidates(session, view.kind, word);
    }
    case 'load':
    case 'save':
      return 'file';
    default:
      return [...numberWords(session), 'all'];
  }
}

function numberWords(session: SessionState): string[] {
  return rulesOf(session, null)
    .list()
    .map(({ number }) => String(number));
}
