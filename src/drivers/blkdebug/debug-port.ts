/** The debug port of a blkdebug node: sets and removes breakpoints, resumes and cancels what they suspend. */
import {
  DELAY_TAG,
  type DebugPort,
  type Stop,
  type StopPlace,
  type SuspendedRequest,
  type WatchedPlaces,
} from '../../block/debug/port.ts';
import { anyEventName, type RuleWords } from '../../block/debug/rules.ts';
import { BlockError } from '../../block/error.ts';
import { eventByName, eventName } from '../../block/events/events.ts';
import type { Coroutine } from '../../block/loop/loop.ts';
import { Errno } from '../../util/errno.ts';
import { RuleEditor } from './rule-editor.ts';
import { ruleFromWords, watchFromWords } from './rules/index.ts';
import type { BlkdebugNode } from './state.ts';
import type { Suspension } from './suspended-requests.ts';

/** Breakpoints and rules of one node. */
export class BlkdebugPort implements DebugPort {
  readonly rules: RuleEditor;
  readonly #node: BlkdebugNode;

  constructor(node: BlkdebugNode) {
    this.#node = node;
    this.rules = new RuleEditor(node);
  }

  setBreakpoint(event: string, tag: string, conditions?: RuleWords): void {
    this.#addAt(event, 'suspend', new Map([...(conditions ?? []), ['tag', tag]]));
  }

  setLogPoint(event: string, text: string, conditions?: RuleWords): number {
    return this.#addAt(event, 'log', new Map([...(conditions ?? []), ['text', text]]));
  }

  setWatch(tag: string, words: RuleWords, places: WatchedPlaces): number {
    const { rules, context } = this.#node.state;
    const rule = watchFromWords(new Map([...words, ['tag', tag]]), context, places);
    rules.add(rule);
    return rule.number;
  }

  #addAt(event: string, kind: 'suspend' | 'log', words: RuleWords): number {
    if (event !== anyEventName && eventByName(event) === undefined) throw new BlockError(Errno.ENOENT);
    const { rules, context } = this.#node.state;
    const rule = ruleFromWords(kind, new Map([...words, ['event', event]]), context);
    rules.add(rule);
    return rule.number;
  }

  stopAt(tag: string, { request, event }: StopPlace): () => void {
    const wanted = event === null ? null : eventByName(event);
    if (wanted === undefined) throw new BlockError(Errno.ENOENT, `there is no event '${event}'`);
    return this.#node.state.stops.add({ tag, request, event: wanted });
  }

  stops(): readonly Stop[] {
    return this.#node.state.stops.waiting.map(({ event, ...stop }) => ({
      ...stop,
      event: event === null ? null : eventName(event),
    }));
  }

  /**
   * Observed with qemu-io 7.2.22: suspended requests are resumed, but only breakpoints that were still set count as
   * found, so that the error comes also after "Resuming request".
   */
  async removeBreakpoints(tag: string): Promise<void> {
    const { rules } = this.#node.state;
    const hasStop = this.#node.state.stops.clear(tag);
    const found = rules.hasBreakpoint(tag) || hasStop;
    for (const rule of rules.breakpoints(tag)) rules.remove(rule);
    while (await this.#resumeNewest(tag));
    if (!found) throw new BlockError(Errno.ENOENT);
  }

  async resume(tag: string): Promise<void> {
    if (await this.#resumeNewest(tag)) return;
    const newest = this.#delayed(tag)
      .sort((a, b) => a.waitsSinceNs - b.waitsSinceNs)
      .at(-1);
    if (newest === undefined) throw new BlockError(Errno.ENOENT);
    await this.#endDelay(newest);
  }

  async resumeRequest(request: number): Promise<boolean> {
    const { suspended } = this.#node.state;
    const suspension = suspended.newestFirst().find(({ view }) => view.request === request);
    if (suspension === undefined) return false;
    suspended.remove(suspension);
    await this.#resumeRemoved(suspension);
    return true;
  }

  /** A request that a later breakpoint suspends again on the way stays suspended. */
  async resumeAll(): Promise<void> {
    const { suspended } = this.#node.state;
    const suspensions = suspended.newestFirst().reverse();
    const delayed = this.#delayed(DELAY_TAG);
    if (suspensions.length + delayed.length === 0) throw new BlockError(Errno.ENOENT);
    for (const coroutine of delayed) await this.#endDelay(coroutine);
    for (const suspension of suspensions) {
      await this.#node.loop.breathe();
      // A request resumed before it may have removed it on its way.
      if (!suspension.stopped.suspensions.has(suspension)) continue;
      suspended.remove(suspension);
      await this.#resumeRemoved(suspension);
    }
  }

  async cancel(tag: string): Promise<void> {
    const { suspended } = this.#node.state;
    const delayed = this.#delayed(tag);
    let suspension = suspended.removeNewest(tag);
    if (suspension === undefined && delayed.length === 0) throw new BlockError(Errno.ENOENT);
    for (const coroutine of delayed) await this.#cancelDelayed(coroutine);
    for (; suspension !== undefined; suspension = suspended.removeNewest(tag)) await this.#cancelRemoved(suspension);
  }

  async cancelRequest(request: number): Promise<boolean> {
    const { suspended } = this.#node.state;
    const suspension = suspended.newestFirst().find(({ view }) => view.request === request);
    if (suspension === undefined) {
      const delayed = this.#delayed(DELAY_TAG).find(({ id, cancelled }) => id === request && !cancelled);
      if (delayed !== undefined) await this.#cancelDelayed(delayed);
      return delayed !== undefined;
    }
    suspended.remove(suspension);
    await this.#cancelRemoved(suspension);
    return true;
  }

  isSuspended(tag: string): boolean {
    return this.#node.state.suspended.has(tag) || this.#delayed(tag).length > 0;
  }

  isArmed(tag: string): boolean {
    return this.#node.state.rules.hasBreakpoint(tag) || this.#node.state.stops.has(tag);
  }

  suspended(): readonly SuspendedRequest[] {
    return this.#node.state.suspended.newestFirst().map(({ view }) => view);
  }

  /** The requests that a rule delays, oldest first, for the tag that means them. */
  #delayed(tag: string): Coroutine[] {
    return tag === DELAY_TAG ? this.#node.loop.delayed() : [];
  }

  async #endDelay(coroutine: Coroutine): Promise<void> {
    const { context, loop } = this.#node;
    context.say(`blkdebug: Resuming request '${DELAY_TAG}'`);
    await loop.endWait(coroutine);
  }

  async #cancelDelayed(coroutine: Coroutine): Promise<void> {
    coroutine.cancelled = true;
    await this.#node.loop.endWait(coroutine);
  }

  /** Resumes the newest request of a tag until it waits again or ends. False if none is suspended. */
  async #resumeNewest(tag: string): Promise<boolean> {
    const suspension = this.#node.state.suspended.removeNewest(tag);
    if (suspension === undefined) return false;
    await this.#resumeRemoved(suspension);
    return true;
  }

  async #resumeRemoved(suspension: Suspension): Promise<void> {
    const { context, loop } = this.#node;
    context.say(`blkdebug: Resuming request '${suspension.view.tag}'`);
    this.#traceResume(suspension);
    await loop.enter(suspension.stopped.coroutine);
  }

  /** A cancelled request is no longer suspended by the breakpoints of other tags either: it must end. */
  async #cancelRemoved(suspension: Suspension): Promise<void> {
    const { state, loop } = this.#node;
    const { coroutine, suspensions } = suspension.stopped;
    this.#traceResume(suspension);
    for (const other of suspensions) {
      state.suspended.remove(other);
      this.#traceResume(other);
    }
    loop.cancel(coroutine);
    await loop.enter(coroutine);
  }

  #traceResume({ view: { request, tag } }: Suspension): void {
    const { trace, nodeName } = this.#node;
    trace.emit(request, nodeName, { kind: 'resume', tag });
  }
}
