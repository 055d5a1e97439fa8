/** `rule`: adds, changes, disables, loads and saves rules while requests are in flight. Not in qemu-io. */
import { writeFileSync } from 'node:fs';
import { BlockError, withContext } from '../../block/error.ts';
import { ruleKinds, type Rules } from '../../block/debug/rules.ts';
import { Errno } from '../../util/errno.ts';
import { hinted, usage } from '../failure.ts';
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
import { OptionTable, textSetting } from '../words/option-table.ts';

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
  actsOutside: (argv) => argv.includes('save'),
  options,
  help: [
    '  rule add inject-error event=EVENT [errno=ENOSPC] [state=N] [sector=N] [iotype=read] [once=on] [immediately=on]',
    '                   [delay-ns=N]         waits N nanoseconds first; with errno=0 the request then goes on;',
    '                                         "resume delay" or "cancel delay" ends the wait',
    '  rule add set-state event=EVENT [state=N] new_state=N',
    '  rule add log event=EVENT [text=WORD]  prints a line each time, and the request goes on',
    '  rule add FAULT [event=EVENT] ...     spoils requests, see below',
    '  rule set N key=value...              changes rule N; "key=" removes a condition',
    '  rule disable|enable|remove N...|all  enable also arms exhausted rules again',
    '  rule load FILE                       adds the rules of a blkdebug.conf',
    '  rule save FILE                       writes them as one, for qemu-io',
    '',
    'Faults, which only blkscope has. Without an event they act on every request to the file below that meets their',
    'conditions; [iotype=…] [sector=N] [once=on] and those below narrow them:',
    '  hang [tag=hang]          waits until it is resumed or cancelled by its tag; "suspended" lists it',
    '  drop                     a write, write-zeroes or discard is acknowledged and never done; iotype=flush: a flush',
    '  tear sectors=N           only the first N sectors of a write arrive; it is acknowledged',
    '  corrupt [how=bits|zeroes|noise] [on=read|disk] [bits=1] [seed=N]',
    '                           changes what is read, or what reaches the disk; only within sector= or offset=, if given',
    '  misdirect to=OFFSET      reads or writes at this offset instead',
    '  bad-sector sector=N|offset=A..B [errno=EIO]',
    '                           reads of these sectors fail, of each until it is written',
    '  fsync-once [errno=EIO]   one flush fails; the next one succeeds and flushes nothing',
    '',
    'Conditions that only blkscope has; they go with rules and with breakpoints:',
    '  nth=N            only the Nth time that everything else holds',
    '  when=FIRST[..LAST][+STEP]',
    '                   these times: when=3 the third, when=3..5 three times, when=3+ from the third on, when=1+2 each',
    '                   second time',
    '  times=N          at most N times',
    '  probability=P    at random, P from 0 to 1; the same draws in every run, others with another seed=N',
    '  offset=A..B      inject-error and faults: requests to the file below that touch the bytes from A to before B;',
    '                   else: commands whose range touches these bytes of the image',
    '  node=NAME        only in a read, write, discard or truncate that came through the node or driver NAME, which is',
    '                   above the rules; not in what it does by itself when it is opened, flushed and closed',
    '  request=N        only while request N runs, as "requests" numbers them: 5 or w5',
    '  op=NAME          only while a request of this operation runs: read, write, discard, flush',
    '',
    'A rule for the event none is evaluated when it is added, since none fired when the image was opened.',
  ],
  operands: operandKind,
  run: runRule,
} satisfies Command;

function runRule(session: SessionState, argv: string[]): void {
  const parsed = options.parse(session, argv);
  const [action = '', ...words] = parsed.words.operands;
  const run = actions.get(action);
  if (run === undefined) throw usage(() => hintClosest(session, action, [...actions.keys()]));
  if (words.length === 0) throw usage();
  try {
    run(session, rulesOf(session, parsed.options.node), words);
  } catch (error) {
    if (!(error instanceof BlockError && error.errno === Errno.EINVAL)) throw error;
    throw hinted(session, error, () => hintSettings(session, words));
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

/** Breakpoints are made by `break`, watches by `watch`. */
const kinds = ruleKinds.filter((kind) => kind !== 'suspend' && kind !== 'watch');

function addRule(session: SessionState, rules: Rules, [name = '', ...words]: readonly string[]): void {
  const kind = kinds.find((known) => known === name);
  if (kind === undefined) {
    const names = `${kinds.slice(0, -1).join(', ')} or ${kinds.at(-1)}`;
    const error = new BlockError(Errno.EINVAL, `a rule is ${names}, not '${name}'`);
    throw hinted(session, error, () => hintClosest(session, name, kinds));
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
