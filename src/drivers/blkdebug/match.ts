/** How events and requests are matched with rules, and what a rule that matches does. */
import { BlockError } from '../../block/error.ts';
import { type DebugEvent, Event, eventName } from '../../block/events/events.ts';
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
  const newest = node.state.rules.newestOf(event);
  return newest === null ? undefined : lookAt(node, event, newest, null);
}

/**
 * Rules of the event `none`, which fires when an image is opened, that were armed only later: they are looked at now,
 * by themselves, and come behind the rules that are active. There are no breakpoints among them.
 */
export function catchUp(node: BlkdebugNode, late: ReadonlySet<Rule>): void {
  const { rules } = node.state;
  const newest = rules.newestOf(Event.NONE);
  if (newest === null) return;
  const earlier = rules.active.splice(0);
  void lookAt(node, Event.NONE, newest, late);
  for (const rule of earlier) rules.active.push(rule);
}

/** `only`: all other rules of the event are left alone; null for no such choice. */
function lookAt(
  node: BlkdebugNode,
  event: DebugEvent,
  newest: Rule,
  only: ReadonlySet<Rule> | null,
): Promise<void> | undefined {
  const { rules } = node.state;
  // It changes behind the last rule only.
  const { state } = rules;
  let noneActivated = only === null;
  let stateRule: SetStateRule | null = null;
  let stop: Stop | null = null;

  for (let rule: Rule | null = newest, older: Rule | null; rule !== null; rule = older) {
    older = rule.older;
    if (only !== null && !only.has(rule)) continue;
    // Of many rules all but a few wait for another state: those cost no call.
    const unmet = rule.state === null || rule.state.state === state ? unmetOnEvent(node, rule) : rule.state;
    if (unmet !== null) {
      rule.lastSkip = unmet;
      if (node.trace.active) traceSkip(node, rule, unmet);
      continue;
    }
    noteHit(node, rule);
    switch (rule.kind) {
      case 'inject-error':
        rules.activate(rule, noneActivated);
        noneActivated = false;
        break;
      case 'set-state':
        if (rule.isExhausted) rules.retire(rule);
        stateRule = rule;
        break;
      case 'suspend':
        if (rule.once || rule.isExhausted) rules.retire(rule);
        stop ??= stopHere(node, event);
        suspendAt(node, rule, stop);
        break;
    }
  }
  if (stateRule !== null) changeState(node, stateRule.newState, stateRule);
  return stop?.wait(node.loop);
}

const notCancelled: Condition = { name: 'cancelled', toString: () => '', unmet: () => 'the request is cancelled' };

/** The condition, beside that of the state, that keeps a rule from acting when its event fires; null if there is none. */
function unmetOnEvent(node: BlkdebugNode, rule: Rule): Condition | null {
  // What is cancelled is on its way out; a breakpoint would hold it, and whoever waits for it, for ever.
  if (rule.kind === 'suspend' && node.loop.current?.cancelled === true) return notCancelled;
  for (const condition of rule.when) if (!condition.holds(node)) return condition;
  // An inject rule counts the requests that it fails.
  return rule.kind === 'inject-error' ? null : rule.countThisTime();
}

function stopHere(node: BlkdebugNode, event: DebugEvent): Stop {
  const { current } = node.loop;
  if (current === null) throw new Error(`${eventName(event)} fired outside of a coroutine hits a breakpoint`);
  return new Stop(current, event);
}

/** Changes the state for a rule, or by hand (null). Nothing happens if that is the state already. */
export function changeState(node: BlkdebugNode, to: number, cause: SetStateRule | null): void {
  const { rules } = node.state;
  const from = rules.state;
  if (from === to) return;
  const rule = cause?.number ?? 0;
  const event = cause === null ? null : eventName(cause.event);
  const request = node.loop.current?.id ?? 0;
  rules.changeState({ from, to, rule, event, request, timeNs: node.loop.clock.nowNs() });
  node.trace.emit(request, node.nodeName, { kind: 'state-change', from, to, rule });
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
  if (node.state.rules.active.length === 0) return undefined;
  const rule = pickRule(node, ioType, offset, bytes);
  return rule === null ? undefined : injectError(node, rule, ioType);
}

/** The first active rule whose conditions the request meets; null also if that one injects errno 0. */
function pickRule(node: BlkdebugNode, ioType: IoType, offset: number, bytes: number): InjectErrorRule | null {
  const { rules } = node.state;
  const { active } = rules;
  for (let index = active.length - 1; index >= 0; index -= 1) {
    const rule = active[index] as InjectErrorRule;
    const unmet = rule.unmetBy(ioType, offset, bytes);
    if (unmet === null) {
      rule.lastSkip = null;
      if (rule.isExhausted) rules.retire(rule);
      return rule.errno === 0 ? null : rule;
    }
    rule.lastSkip = unmet;
    if (node.trace.active) traceSkip(node, rule, unmet);
  }
  return null;
}

async function injectError(node: BlkdebugNode, rule: InjectErrorRule, ioType: IoType): Promise<void> {
  const { errno } = rule;
  rule.injected += 1;
  const detail = { kind: 'error-injected', rule: rule.number, errno } as const;
  node.trace.emit(node.loop.current?.id ?? 0, node.nodeName, detail);
  if (rule.once) node.state.rules.retire(rule);
  if (!rule.immediately) {
    const wait = node.loop.reschedule();
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

function traceSkip(node: BlkdebugNode, rule: Rule, unmet: Condition): void {
  const reason = unmet.unmet();
  const detail = { kind: 'rule-skip', rule: rule.number, event: eventName(rule.event), reason } as const;
  node.trace.emit(node.loop.current?.id ?? 0, node.nodeName, detail);
}
