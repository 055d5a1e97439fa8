/** Evaluates rules when events fire and requests pass, and does what a rule that matches says. */
import { fileOf } from '../../block/graph/node.ts';
import type { FaultKind } from '../../block/debug/rules.ts';
import { BlockError } from '../../block/error.ts';
import { type DebugEvent, Event, eventName } from '../../block/events/events.ts';
import type { Coroutine, WaitReason } from '../../block/loop/loop.ts';
import { traceWait } from '../../block/request/traced.ts';
import { assert } from '../../util/assert.ts';
import { Errno } from '../../util/errno.ts';
import { type Pending, run, type Steps } from '../../util/steps.ts';
import { compactBytes, requestName } from '../../util/compact.ts';
import { peek } from '../../block/request/peek.ts';
import type { DiskRequest, FaultRule } from './actions/fault.ts';
import { forward, NodeBelow, placeOf } from './disk.ts';
import type { ActiveRule } from './rule-table.ts';
import { type Condition, IoType, ioTypeName } from './rules/condition.ts';
import type { Rule } from './rules/index.ts';
import type { InjectErrorRule } from './rules/inject-error.ts';
import type { SetStateRule } from './rules/set-state.ts';
import type { BlkdebugNode } from './state.ts';
import { ANY_EVENT } from './rules/rule.ts';
import type { StoppingRule, Verdict } from './rules/stopping-rule.ts';
import { StoppedRequest, suspend } from './suspended-requests.ts';

/**
 * Evaluates the event's armed rules, newest first. The state changes only after the last of them; where several rules
 * change it, the oldest wins. A promise only if a breakpoint suspends the running request.
 */
export function fireEvent(node: BlkdebugNode, event: DebugEvent): Pending {
  const { rules, stops } = node.state;
  let stopped = stops.waiting.length === 0 ? null : stopOf(node, event);
  const newestOfAny = rules.newestOf[ANY_EVENT] ?? null;
  if (newestOfAny !== null) stopped = evaluateRules(node, event, newestOfAny, null, stopped);
  const newest = rules.newestOf[event] ?? null;
  if (newest !== null) stopped = evaluateRules(node, event, newest, null, stopped);
  return stopped === null ? undefined : run(stopped.wait(node.loop));
}

/** Suspends the running request if a stop is for it; null if none is. */
function stopOf(node: BlkdebugNode, event: DebugEvent): StoppedRequest | null {
  const tag = node.state.stops.take(node.loop.current, event);
  if (tag === null) return null;
  const stopped = stopHere(node, event);
  suspend(node, tag, stopped);
  return stopped;
}

/**
 * Evaluates rules of the event `none`, which fires when an image is opened, that were armed only later. They come
 * behind the rules that are active. There are no breakpoints among them.
 */
export function fireNoneLate(node: BlkdebugNode, late: ReadonlySet<Rule>): void {
  const { rules } = node.state;
  const newest = rules.newestOf[Event.NONE] ?? null;
  if (newest === null) return;
  const earlier = rules.active.splice(0);
  const stopped = evaluateRules(node, Event.NONE, newest, late);
  assert(stopped === null, 'no breakpoint is among the late rules');
  for (const rule of earlier) rules.active.push(rule);
}

/**
 * Evaluates the armed rules from `newest` on, newest first; with `filter`, only those. The running request with what
 * suspends it, `stoppedBefore` included; null if nothing does.
 */
function evaluateRules(
  node: BlkdebugNode,
  event: DebugEvent,
  newest: Rule,
  filter: ReadonlySet<Rule> | null,
  stoppedBefore: StoppedRequest | null = null,
): StoppedRequest | null {
  const { rules } = node.state;
  // It changes after the last rule only.
  const { state } = rules;
  let noneActivated = filter === null;
  let stateRule: SetStateRule | null = null;
  let stopped = stoppedBefore;

  for (let rule: Rule | null = newest, older: Rule | null; rule !== null; rule = older) {
    older = rule.older;
    if (filter !== null && !filter.has(rule)) continue;
    // Of many rules all but a few wait for another state: those cost no call.
    const unmet = rule.state === null || rule.state.state === state ? unmetOnEvent(node, rule) : rule.state;
    if (unmet !== null) {
      rule.lastSkip = unmet;
      if (node.trace.active) traceSkip(node, rule, unmet, event);
      continue;
    }
    if (rule.kind === 'suspend' && rule.checksRequests) {
      if (node.loop.current !== null) rule.expect(node.loop.current);
      continue;
    }
    if (rule.kind === 'watch') continue;
    noteHit(node, rule, event);
    switch (rule.kind) {
      case 'set-state':
        if (rule.isExhausted) rules.exhaust(rule);
        stateRule = rule;
        break;
      case 'suspend':
        if (rule.once || rule.isExhausted) rules.exhaust(rule);
        stopped ??= stopHere(node, event);
        suspend(node, rule.tag, stopped);
        break;
      case 'log':
        if (rule.once || rule.isExhausted) rules.exhaust(rule);
        node.context.say(rule.line(event, node.loop.current));
        break;
      default:
        rules.activate(rule, noneActivated);
        noneActivated = false;
    }
  }
  if (stateRule !== null) changeState(node, stateRule.newState, stateRule);
  return stopped;
}

const notCancelled: Condition = { name: 'cancelled', unmet: () => 'the request is cancelled' };
const noRequest: Condition = { name: 'request', unmet: () => 'not in a request' };

/**
 * The condition, beside that of the state, that keeps a rule from acting when its event fires; null if there is none.
 */
function unmetOnEvent(node: BlkdebugNode, rule: Rule): Condition | null {
  // A breakpoint would keep a cancelled request from ending, and all requests that wait for it.
  if (rule.kind === 'suspend' && node.loop.current?.cancelled === true) return notCancelled;
  // Nothing but a request can be suspended; events that a user names do not come outside of requests, but for `none`.
  if (rule.event === ANY_EVENT && rule.kind === 'suspend' && node.loop.current === null) return noRequest;
  for (const condition of rule.when) if (!condition.holds(node.state.context)) return condition;
  // An inject-error rule counts the requests that it fails, a fault those that it spoils.
  return rule.checksRequests ? null : rule.countThisTime();
}

function stopHere(node: BlkdebugNode, event: DebugEvent): StoppedRequest {
  const { current } = node.loop;
  assert(current !== null, `only requests are suspended, at ${eventName(event)}`);
  return new StoppedRequest(current, event);
}

/** Changes the state for a rule, or for a command (null). Nothing happens if that is the state already. */
export function changeState(node: BlkdebugNode, to: number, cause: SetStateRule | null): void {
  const { rules } = node.state;
  const from = rules.state;
  if (from === to) return;
  const rule = cause?.number ?? 0;
  const event = cause === null ? null : eventName(cause.event);
  const { id: request, operation } = node.loop.current ?? { id: 0, operation: '' };
  rules.changeState({ from, to, rule, event, request, operation, timeNs: node.loop.clock.nowNs() });
  node.trace.emit(request, node.nodeName, { kind: 'state-change', from, to, rule });
}

/**
 * Checks a request against the active rules before it is passed on; `offset` and `bytes` are 0 for requests without a
 * range, `data` is null for those without data. Null if it is passed on as it is; otherwise the steps that are to be
 * run in its place: they wait, fail, or do what a fault makes of it. ECANCELED if it was cancelled.
 */
export function stepsInPlaceOf(
  node: BlkdebugNode,
  ioType: IoType,
  offset: number,
  bytes: number,
  data: Buffer | null = null,
  flags = 0,
): Steps<void> | null {
  node.loop.checkCancelled();
  const { active, stopping } = node.state.rules;
  if (stopping.length > 0) return stopFirst(node, { ioType, offset, bytes, data, flags });
  if (active.length === 0) return null;
  const rule = pickRule(node, ioType, offset, bytes);
  return rule === null ? null : applyRule(node, rule, { ioType, offset, bytes, data, flags });
}

function applyRule(node: BlkdebugNode, rule: ActiveRule, request: DiskRequest): Steps<void> {
  return rule.kind === 'inject-error' ? injectError(node, rule, request) : injectFault(node, rule, request);
}

/** Suspends the running request if rules stop it at this request to the node below; null if none does. */
function stopAtRequest(node: BlkdebugNode, request: DiskRequest): Steps<StoppedRequest | null> {
  const child = fileOf(node).node;
  return stopWhere(node, ioText(request), function* (rule, current) {
    if (rule.kind === 'suspend') return rule.judge(request, current);
    return yield* rule.judge(request, (at, data) => peek(child, at, data));
  });
}

/**
 * Suspends the running request if it is about to cut off something that is watched, from `bytes` to the file's `end`.
 * Undefined if it may go on; ECANCELED if it was cancelled. Nothing else of the rules is about lengths.
 */
export function stopAtCut(node: BlkdebugNode, bytes: number, end: number): Pending {
  const { stopping } = node.state.rules;
  if (!stopping.some(({ kind }) => kind === 'watch')) return undefined;
  return run(waitAtCut(node, bytes, end));
}

function* waitAtCut(node: BlkdebugNode, bytes: number, end: number): Steps<void> {
  const { loop } = node;
  loop.checkCancelled();
  const stopped = yield* stopWhere(node, `file truncate @0x${bytes.toString(16)}`, function* (rule) {
    return rule.kind === 'watch' ? yield* rule.judgeCut(bytes, end) : null;
  });
  if (stopped === null) return;
  yield* stopped.wait(loop);
  loop.checkCancelled();
}

/**
 * Suspends the running request at a place of this name if rules stop it there, which `judge` says; null of a rule for
 * which the place is none.
 */
function* stopWhere(
  node: BlkdebugNode,
  place: string,
  judge: (rule: StoppingRule, current: Coroutine) => Steps<Verdict | null>,
): Steps<StoppedRequest | null> {
  const { loop, state } = node;
  const { current } = loop;
  if (current === null) return null;
  let stopped: StoppedRequest | null = null;
  for (const rule of state.rules.stopping.toReversed()) {
    const unmet = unmetByRunning(node, rule);
    const verdict = unmet === null ? yield* judge(rule, current) : { unmet };
    if (verdict === null) continue;
    if (verdict.unmet !== null) {
      rule.lastSkip = verdict.unmet;
      continue;
    }
    noteHit(node, rule, rule.event === ANY_EVENT ? Event.NONE : rule.event);
    if (verdict.says !== null) {
      node.context.say(`blkdebug: rule ${rule.number}: ${requestName(current.operation, current.id)} ${verdict.says}`);
    }
    if (rule.once || rule.isExhausted) state.rules.exhaust(rule);
    stopped ??= new StoppedRequest(current, place);
    suspend(node, rule.tag, stopped);
  }
  return stopped;
}

/** "file write 64k@0x50000" */
function ioText({ ioType, offset, bytes }: DiskRequest): string {
  const range = ioType === IoType.FLUSH ? '' : ` ${compactBytes(bytes)}@0x${offset.toString(16)}`;
  return `file ${ioTypeName(ioType)}${range}`;
}

/** The condition on the state, and of a watch on the running request, that is not met; null if all are. */
function unmetByRunning(node: BlkdebugNode, rule: StoppingRule): Condition | null {
  const { rules, context } = node.state;
  if (node.loop.current?.cancelled === true) return notCancelled;
  if (rule.kind === 'suspend') return null;
  if (rule.state !== null && rule.state.state !== rules.state) return rule.state;
  return rule.when.find((condition) => !condition.holds(context)) ?? null;
}

/** A request that rules may stop before it reaches the node below; other rules may still end it after that. */
function* stopFirst(node: BlkdebugNode, request: DiskRequest): Steps<void> {
  const stopped = yield* stopAtRequest(node, request);
  if (stopped !== null) {
    yield* stopped.wait(node.loop);
    node.loop.checkCancelled();
  }
  const rule = pickRule(node, request.ioType, request.offset, request.bytes);
  if (rule === null) yield forward(node, request);
  else yield* applyRule(node, rule, request);
}

/** The first active rule whose conditions the request meets; null also if that one has nothing to do (errno 0). */
function pickRule(node: BlkdebugNode, ioType: IoType, offset: number, bytes: number): ActiveRule | null {
  const { rules } = node.state;
  const { active } = rules;
  for (let index = active.length - 1; index >= 0; index -= 1) {
    const rule = active[index] as ActiveRule;
    const unmet = rule.unmetBy(ioType, offset, bytes);
    if (unmet === null) {
      rule.lastSkip = null;
      if (rule.isExhausted) rules.exhaust(rule);
      return rule.kind === 'inject-error' && rule.errno === 0 && rule.delayNs === 0 ? null : rule;
    }
    rule.lastSkip = unmet;
    if (node.trace.active) traceSkip(node, rule, unmet);
  }
  return null;
}

function* injectError(node: BlkdebugNode, rule: InjectErrorRule, request: DiskRequest): Steps<void> {
  const { loop } = node;
  const { errno, delayNs } = rule;
  rule.injected += 1;
  const isDelay = errno === 0;
  const detail = isDelay
    ? ({ kind: 'fault-injected', rule: rule.number, fault: 'delay' } as const)
    : ({ kind: 'error-injected', rule: rule.number, errno, ...placeOf(node, request) } as const);
  node.trace.emit(loop.current?.id ?? 0, node.nodeName, detail);
  if (rule.once) node.state.rules.exhaust(rule);
  if (delayNs > 0 && loop.current !== null && node.state.hasDelays) {
    const reason: WaitReason = { kind: 'delay', rule: rule.number };
    traceWait(node, reason);
    yield loop.sleep(delayNs, reason);
    loop.checkCancelled();
  } else if (!rule.immediately) {
    yield loop.reschedule();
  }
  if (isDelay) return yield forward(node, request);
  if (errno > 0) throw new BlockError(errno);
  // A negative errno makes the request a success that has done nothing (observed with qemu-io 7.2.22), except where
  // the caller needs an answer: there the real program aborts.
  if (request.ioType === IoType.BLOCK_STATUS) throw new BlockError(Errno.EINVAL);
}

/** Faults after which the disk does not hold what was written. */
const spoiling: ReadonlySet<FaultKind> = new Set(['drop', 'tear', 'misdirect', 'corrupt']);

function* injectFault(node: BlkdebugNode, rule: FaultRule, request: DiskRequest): Steps<void> {
  const { rules } = node.state;
  if (rule.spoils(request.ioType)) {
    rule.injected += 1;
    const detail = { kind: 'fault-injected', rule: rule.number, fault: rule.kind } as const;
    node.trace.emit(node.loop.current?.id ?? 0, node.nodeName, detail);
    if (rule.once) rules.exhaust(rule);
  }
  if (spoiling.has(rule.kind) && request.bytes > 0) node.watch?.losesWrite(request.offset, request.bytes);
  yield* rule.act(request, new NodeBelow(node, rule, request));
  // A write may have healed the last bad sector.
  if (rule.isExhausted) rules.exhaust(rule);
}

function noteHit(node: BlkdebugNode, rule: Rule, event: DebugEvent): void {
  rule.hits += 1;
  rule.lastSkip = null;
  if (node.trace.active) {
    const detail = { kind: 'rule-hit', rule: rule.number, event: eventName(event) } as const;
    node.trace.emit(node.loop.current?.id ?? 0, node.nodeName, detail);
  }
}

function traceSkip(node: BlkdebugNode, rule: Rule, unmet: Condition, event = rule.event): void {
  const reason = unmet.unmet();
  const detail = { kind: 'rule-skip', rule: rule.number, event: eventName(event), reason } as const;
  node.trace.emit(node.loop.current?.id ?? 0, node.nodeName, detail);
}
