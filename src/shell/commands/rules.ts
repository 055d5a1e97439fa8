/** `rules`: the rules that decide which requests fail or are suspended, each with its hits. Not in qemu-io. */
import { findDebugPort, type Stop } from '../../block/debug/port.ts';
import { anyEventName, type RuleView } from '../../block/debug/rules.ts';
import { usage } from '../failure.ts';
import type { Command } from '../command.ts';
import { rulesOf } from '../words/rule-words.ts';
import type { SessionState } from '../session-state.ts';
import { flag, OptionTable, textSetting } from '../words/option-table.ts';
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
    'SKIPPED BECAUSE is why it did not act when it was evaluated last. The EVENT of a watch is none: it looks at requests to the',
    'file. A row without a number is a stop that "step" or "until" waits for.',
  ],
  run: runRules,
} satisfies Command;

const actions: Readonly<Partial<Record<RuleView['kind'], string>>> = {
  'inject-error': 'inject',
  suspend: 'break',
};

function actsOnEvent(kind: RuleView['kind']): boolean {
  return kind === 'set-state' || kind === 'suspend' || kind === 'watch' || kind === 'log';
}

/** A stop of `step` or `until` that waits, which is no rule: a row without a number. */
type RuleRow = Omit<RuleView, 'number'> & { readonly number: number | null };

function stopRow({ tag, request, event }: Stop): RuleRow {
  return {
    number: null,
    kind: 'suspend',
    event: (event ?? anyEventName) as RuleView['event'],
    effect: tag,
    conditions: `request=${request}`,
    settings: { tag, request: String(request) },
    status: 'armed',
    active: false,
    hits: 0,
    injected: 0,
    lastSkip: null,
  };
}

function statusOf({ status, active }: RuleRow): string {
  return active ? 'active' : status;
}

function statusStyle(rule: RuleRow): Style {
  if (rule.active) return 'red';
  return rule.status === 'armed' ? 'green' : 'quiet';
}

const columns: readonly Column<RuleRow>[] = [
  { title: 'RULE', text: ({ number }) => String(number ?? ''), alignRight: true },
  { title: 'ACTION', text: ({ kind, number }) => (number === null ? 'step' : (actions[kind] ?? kind)) },
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
  const { options: given, words } = options.parse(session, argv);
  if (words.operands.length > 0) throw usage();
  const rows: RuleRow[] = rulesOf(session, given.node).list();
  if (given.node === null) rows.push(...(findDebugPort(session.top)?.stops() ?? []).map(stopRow));
  printTable(session, rows, columns, { json: given.json, none: 'there are no rules' });
}
