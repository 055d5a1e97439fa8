/** `rules`: the rules that decide which requests fail or are suspended, each with its hits. Not in qemu-io. */
import type { RuleView } from '../../block/debug/rules.ts';
import { usage } from '../failure.ts';
import type { Command } from '../command.ts';
import { rulesOf } from '../words/rule-words.ts';
import type { SessionState } from '../session-state.ts';
import { flag, OptionTable, textSetting } from '../words/options.ts';
import { type Column, printTable } from '../output/table.ts';
import type { Style } from '../../util/style.ts';

const options = new OptionTable({
  json: flag('j', 'as JSON'),
  node: textSetting('n', 'node', 'those of this node; without it of the one that breakpoints go to'),
});

export const rules = {
  name: 'rules',
  oneline: 'lists the rules of blkdebug, breakpoints among them',
  minArgs: 0,
  maxArgs: 3,
  needsFile: true,
  looksOnly: true,
  options,
  help: [
    'For each rule: its number, what it does at which event, its conditions, and its status: "armed" waits for its event,',
    '"active" has seen it and requests are checked against it, "exhausted" has acted as often as it may, "disabled" is',
    'switched off. HITS is how often its event fired with its conditions met, FAILED how many requests it failed or spoiled, and',
    'SKIPPED BECAUSE is why it did not act when it was evaluated last.',
  ],
  run: runRules,
} satisfies Command;

const actions: Readonly<Partial<Record<RuleView['kind'], string>>> = {
  'inject-error': 'inject',
  suspend: 'break',
};

function actsOnEvent(kind: RuleView['kind']): boolean {
  return kind === 'set-state' || kind === 'suspend' || kind === 'log';
}

function statusOf({ status, active }: RuleView): string {
  return active ? 'active' : status;
}

function statusStyle(rule: RuleView): Style {
  if (rule.active) return 'red';
  return rule.status === 'armed' ? 'green' : 'quiet';
}

const columns: readonly Column<RuleView>[] = [
  { title: 'RULE', text: ({ number }) => String(number), alignRight: true },
  { title: 'ACTION', text: ({ kind }) => actions[kind] ?? kind },
  { title: 'EFFECT', text: ({ effect }) => effect },
  { title: 'EVENT', text: ({ event }) => event },
  { title: 'CONDITIONS', text: ({ conditions }) => conditions },
  { title: 'STATUS', text: statusOf, style: statusStyle },
  { title: 'HITS', text: ({ hits }) => String(hits), alignRight: true },
  {
    title: 'FAILED',
    text: ({ kind, injected }) => (actsOnEvent(kind) ? '' : String(injected)),
    alignRight: true,
  },
  { title: 'SKIPPED BECAUSE', text: ({ lastSkip }) => lastSkip?.text ?? '' },
];

function runRules(session: SessionState, argv: string[]): void {
  const { options: given, operands } = options.parse(session, argv);
  if (operands.length > 0) throw usage();
  const rows = rulesOf(session, given.node).list();
  printTable(session, rows, columns, { json: given.json, none: 'there are no rules' });
}
