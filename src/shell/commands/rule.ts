/** `rule`: adds, changes, disables, loads and saves rules while requests are in flight. Not in qemu-io. */
import { writeFileSync } from 'node:fs';
import { BlockError, withContext } from '../../block/error.ts';
import type { Rules, RuleKind } from '../../block/debug/rules.ts';
import { Errno } from '../../util/errno.ts';
import { CommandOptions, usage } from '../words/arguments.ts';
import type { Command, OperandKind } from '../command.ts';
import { rulesOf, ruleNumber, ruleNumbers, settingCandidates, settingsFrom } from '../words/rule-words.ts';
import type { Session } from '../session.ts';

export const rule = {
  name: 'rule',
  args: '[-n node] add|set|disable|enable|remove|load|save ...',
  oneline: 'changes the rules of blkdebug',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: true,
  options: 'n:',
  optionHelp: { n: 'the rules of this node; without it of the one that breakpoints go to' },
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

function runRule(session: Session, argv: string[]): void {
  const options = new CommandOptions(session, argv, rule.options);
  let node: string | null = null;
  while (options.next()) node = options.argument;
  const [action = '', ...words] = options.operands;
  const run = actions.get(action);
  if (run === undefined || words.length === 0) throw usage();
  run(session, rulesOf(session, node), words);
}

type Action = (session: Session, rules: Rules, words: readonly string[]) => void;

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

function addRule(session: Session, rules: Rules, [name = '', ...words]: readonly string[]): void {
  const kind = kinds.find((known) => known === name);
  if (kind === undefined) throw new BlockError(Errno.EINVAL, `a rule is inject-error or set-state, not '${name}'`);
  const number = rules.add(kind, settingsFrom(words));
  session.output.stdout(`rule ${number} added\n`);
}

function loadRules(session: Session, rules: Rules, file: string): void {
  const numbers = rules.load(file);
  const [first] = numbers;
  if (first === undefined) session.output.stdout(`no rules in ${file}\n`);
  else if (numbers.length === 1) session.output.stdout(`rule ${first} added\n`);
  else session.output.stdout(`rules ${first} to ${numbers.at(-1)} added\n`);
}

function saveRules(session: Session, rules: Rules, file: string): void {
  const { text, warnings } = rules.save();
  withContext(`Could not write '${file}'`, () => writeFileSync(file, text));
  for (const warning of warnings) session.warn(warning);
}

function onlyWord([word = '', ...more]: readonly string[]): string {
  if (more.length > 0) throw usage();
  return word;
}

function operandKind(session: Session, [action, ...before]: readonly string[], word: string): OperandKind {
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

function numberWords(session: Session): string[] {
  return rulesOf(session, null)
    .list()
    .map(({ number }) => String(number));
}
