/** How events and requests are matched with rules, and what a rule that matches does. */
import { BlockError } from '../../block/error.ts';
import { type DebugEvent, eventName } from '../../block/events.ts';
import { Errno } from '../../util/errno.ts';
import { type Condition, IoType } from './rules/condition.ts';
import type { Rule } from './rules/index.ts';
import type { InjectErrorRule } from './rules/inject-error.ts';
import type { SetStateRule } from './rules/set-state.ts';
import type { BlkdebugNode } from './state.ts';
import { Stop, suspendAt } from './suspend.ts';

/**
 * Looks at all rules of an event, newest first. The state changes only after the last of them; where several rules
 * change it, the oldest wins. Undefined unless the running request has to wait for a breakpoint.
 */
export function fireEvent(node: BlkdebugNode, event: DebugEvent): Promise<void> | undefined {
  const { rules } = node.state;
  let rule = rules.newestOf(event);
  if (rule === null) return undefined;
  const { state } = rules;
  let noneActivated = true;
  let stateRule: SetStateRule | null = null;
  let stop: Stop | null = null;

  while (rule !== null) {
    const { older }: Rule = rule;
    const unmet = unmetOnEvent(node, rule, state);
    if (unmet !== null) {
      noteSkip(node, rule, unmet);
    } else {
      noteHit(node, rule);
      switch (rule.kind) {
        case 'inject-error':
          rules.activate(rule, noneActivated);
          noneActivated = false;
          break;
        case 'set-state':
          stateRule = rule;
          break;
        case 'suspend':
          stop ??= stopHere(node, event);
          suspendAt(node, rule, stop);
          break;
      }
    }
    rule = older;
  }
  if (stateRule !== null) changeState(node, stateRule);
  return stop?.wait(node.loop);
}

const notCancelled: Condition = { toString: () => '', unmet: () => 'the request is cancelled' };

/** The condition that keeps a rule from acting when its event fires; null if there is none. */
function unmetOnEvent(node: BlkdebugNode, rule: Rule, state: number): Condition | null {
  // What is cancelled is on its way out; a breakpoint would hold it, and whoever waits for it, for ever.
  if (rule.kind === 'suspend' && node.loop.current?.cancelled === true) return notCancelled;
  return rule.when === null || rule.when.holds(state) ? null : rule.when;
}

function stopHere(node: BlkdebugNode, event: DebugEvent): Stop {
  const { current } = node.loop;
  if (current === null) throw new Error(`${eventName(event)} fired outside of a coroutine hits a breakpoint`);
  return new Stop(current, event);
}

function changeState(node: BlkdebugNode, rule: SetStateRule): void {
  const from = node.state.rules.state;
  if (!node.state.rules.changeState(rule, node.loop.clock.nowNs())) return;
  const change = { kind: 'state-change', from, to: rule.newState, rule: rule.number } as const;
  node.trace.emit(node.loop.current?.id ?? 0, node.nodeName, change);
}

/**
 * Holds a request against the active rules before it is passed on; `offset` and `bytes` are 0 for requests without a
 * range. Undefined if it may go on; otherwise it has ended, with the injected error. ECANCELED if it was cancelled.
 */
export function checkRules(
  node: BlkdebugNode,
  ioType: IoType,
  offset: number,
  bytes: number,
): Promise<void> | undefined {
  node.loop.checkCancelled();
  const rule = pickRule(node, ioType, offset, bytes);
  return rule === null ? undefined : injectError(node, rule, ioType);
}

/** The first active rule whose conditions the request meets; null also if that one injects errno 0. */
function pickRule(node: BlkdebugNode, ioType: IoType, offset: number, bytes: number): InjectErrorRule | null {
  const { active } = node.state.rules;
  for (let index = active.length - 1; index >= 0; index -= 1) {
    const rule = active[index] as InjectErrorRule;
    const unmet = unmetBy(rule, ioType, offset, bytes);
    if (unmet === null) {
      rule.lastSkip = null;
      return rule.errno === 0 ? null : rule;
    }
    noteSkip(node, rule, unmet);
  }
  return null;
}

/** The first condition of an active rule that a request does not meet; null if it meets all. */
function unmetBy(rule: InjectErrorRule, ioType: IoType, offset: number, bytes: number): Condition | null {
  for (const condition of rule.conditions) {
    if (!condition.holds(ioType, offset, bytes)) return condition;
  }
  return null;
}

async function injectError(node: BlkdebugNode, rule: InjectErrorRule, ioType: IoType): Promise<void> {
  const { errno } = rule;
  rule.injected += 1;
  const detail = { kind: 'error-injected', rule: rule.number, errno } as const;
  node.trace.emit(node.loop.current?.id ?? 0, node.nodeName, detail);
  if (rule.once) node.state.rules.remove(rule);
  if (!rule.immediately) {
    const wait = node.loop.bottomHalf();
    if (wait !== undefined) await wait;
  }
  if (errno > 0) throw new BlockError(errno);
  // A negative errno makes the request a success that has done nothing (observed with qemu-io 7.2.22), except where
  // the caller needs an answer: there the real program aborts.
  if (ioType === IoType.BLOCK_STATUS) throw new BlockError(Errno.EINVAL);
}

function noteHit(node: BlkdebugNode, rule: Rule): void {
  rule.hits += 1;
  rule.lastSkip = null;
  if (node.trace.active) {
    const detail = { kind: 'rule-hit', rule: rule.number, event: eventName(rule.event) } as const;
    node.trace.emit(node.loop.current?.id ?? 0, node.nodeName, detail);
  }
}

function noteSkip(node: BlkdebugNode, rule: Rule, unmet: Condition): void {
  rule.lastSkip = unmet;
  if (node.trace.active) {
    const reason = unmet.unmet();
    const detail = { kind: 'rule-skip', rule: rule.number, event: eventName(rule.event), reason } as const;
    node.trace.emit(node.loop.current?.id ?? 0, node.nodeName, detail);
  }
}
