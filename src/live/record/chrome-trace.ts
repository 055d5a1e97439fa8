/**
 * A recording as Chrome trace events, the JSON form that Perfetto opens.
 *
 * Each request is a track of its own: nestable asynchronous events with the request's number as their id. On it lie a
 * span for the request on each node that it passes, spans for what delays it (a breakpoint, another request), and
 * instants for events, rules and injected errors. The state of blkdebug is a counter.
 */
import type { RuleChange, TraceRecord } from '../../block/events/trace.ts';
import type { Snapshot } from '../snapshot.ts';
import { beginOffset, isRecord, type RecordingLine } from './schema.ts';
import { errnoText, requestName, requestText } from '../../util/compact.ts';

/** One process, and one thread for what is not of a request. */
const PROCESS = 1;
const THREAD = 1;

type Span =
  | { readonly kind: 'operation'; readonly name: string; readonly node: string; readonly operation: string }
  | { readonly kind: 'suspension'; readonly name: string; readonly tag: string; isResumed: boolean }
  | { readonly kind: 'wait'; readonly name: string };

type HazardRecord = Extract<TraceRecord, { kind: 'hazard' }>;

/** A member of an event besides those that all have. */
type Extra = { readonly [name: string]: unknown };

/** Makes trace events of the lines of one recording. */
export class ChromeTrace {
  /** The beginning of the file. */
  readonly beginning = '{"displayTimeUnit":"ns","traceEvents":[\n';
  /** The spans of each request that have begun and not ended, outermost first. */
  readonly #open = new Map<number, Span[]>();
  /** Names of nodes as a reader knows them. */
  readonly #labels = new Map<string, string>();
  #lastNs = 0;
  #isFirst = true;
  #state: number | null = null;

  /** The events that a line becomes, as text to append; empty if it becomes none. */
  convert(line: RecordingLine): string {
    if (isRecord(line)) {
      this.#lastNs = Math.max(this.#lastNs, line.timeNs);
      return this.#record(line);
    }
    switch (line.kind) {
      case 'header':
        this.#lastNs = line.startedNs;
        return this.#metadata('process_name', line.program) + this.#metadata('thread_name', 'session');
      case 'snapshot':
        return this.#snapshot(line);
      case 'note':
        return this.#global(line.text, { dropped: line.dropped });
      case 'end':
        this.#lastNs = Math.max(this.#lastNs, line.timeNs);
        return '';
      case 'events':
        // A summary for panels; in a stream of records it would repeat them.
        return '';
    }
  }

  /** The text after everything so far: the ends of what is still open, and the end of the file. */
  ending(): string {
    const wasFirst = this.#isFirst;
    let text = '';
    for (const [request, spans] of this.#open) {
      for (const span of spans.toReversed()) text += this.#end(request, span, { unfinished: true });
    }
    this.#isFirst = wasFirst;
    return `${text}\n]}\n`;
  }

  #snapshot(snapshot: Snapshot): string {
    for (const { name, driver } of snapshot.nodes) this.#labels.set(name, driver);
    this.#lastNs = Math.max(this.#lastNs, snapshot.timeNs);
    return snapshot.state === null ? '' : this.#counter(snapshot.state.value);
  }

  #record(record: TraceRecord): string {
    const waited = record.kind === 'lock-wait' ? '' : this.#endWait(record.request);
    return waited + (record.kind === 'hazard' ? this.#hazard(record) : this.#convertRecord(record));
  }

  #hazard({ request, sequence, text, other, fileOffset, bytes, guestOffset }: HazardRecord): string {
    return this.#instant(request, `hazard: ${text}`, { sequence, other, fileOffset, bytes, guestOffset });
  }

  #convertRecord(record: Exclude<TraceRecord, HazardRecord>): string {
    const { request, node, sequence } = record;
    switch (record.kind) {
      case 'request-begin':
        return this.#beginRequest(record);
      case 'request-end':
        return this.#endOperation(request, node, record.operation, record.errno);
      case 'suspend': {
        const { tag, event } = record;
        const span: Span = { kind: 'suspension', name: `suspended ${tag}`, tag, isResumed: false };
        return this.#begin(request, span, { sequence, event });
      }
      case 'resume':
        return this.#instant(request, `resume ${record.tag}`, { sequence }) + this.#resume(request, record.tag);
      case 'lock-wait':
        return this.#begin(request, { kind: 'wait', name: `waits for ${record.on}` }, { sequence });
      case 'event':
        return this.#instant(request, record.event, { sequence, node });
      case 'rule-hit':
        return this.#instant(request, `rule ${record.rule} hit`, { sequence, event: record.event });
      case 'rule-skip': {
        const { rule, event, reason } = record;
        return this.#instant(request, `rule ${rule} skipped`, { sequence, event, reason });
      }
      case 'error-injected': {
        const { rule, errno, root, guestOffset, fileOffset } = record;
        const place = { root, guestOffset, fileOffset };
        return this.#instant(request, `${errnoText(errno)} injected`, { sequence, rule, errno, ...place });
      }
      case 'fault-injected':
        return this.#instant(request, `${record.fault} injected`, { sequence, rule: record.rule });
      case 'state-change': {
        const { from, to, rule } = record;
        return this.#instant(request, `state ${from} to ${to}`, { sequence, rule }) + this.#counter(to);
      }
      case 'rule-added':
      case 'rule-changed': {
        const { event, effect, conditions } = record.view;
        return this.#global(ruleChangeText(record), { sequence, event, effect, conditions });
      }
      case 'rule-enabled':
      case 'rule-disabled':
      case 'rule-exhausted':
      case 'rule-removed':
        return this.#global(ruleChangeText(record), { sequence });
      case 'command':
        return this.#global(record.line, { sequence, client: record.client });
      case 'command-failed':
        return this.#global(`failed: ${errnoText(record.errno)}`, { sequence });
      case 'output':
        return this.#global(record.stream, { sequence, text: record.text });
      default:
        // The image was opened, reopened, or closed.
        return this.#global(record.kind.replace('-', ' '), { sequence, node });
    }
  }

  #beginRequest(record: Extract<TraceRecord, { kind: 'request-begin' }>): string {
    const { request, node, sequence } = record;
    const { operation, bytes, client, parent } = record;
    const { of, offset } = beginOffset(record) ?? { of: '', offset: 0 };
    const isOutermost = !this.#open.has(request);
    const what = requestText(operation, offset, bytes);
    const name = isOutermost
      ? `${requestName(operation, request)} ${what}`
      : `${what} on ${this.#labels.get(node) ?? node}`;
    const details = {
      sequence,
      node,
      [of === '' ? 'offset' : `${of}Offset`]: offset,
      bytes,
      ...(client === undefined ? {} : { client }),
      ...(parent === undefined ? {} : { parent }),
    };
    return this.#begin(request, { kind: 'operation', name, node, operation }, details);
  }

  #begin(request: number, span: Span, args: Extra): string {
    const spans = this.#open.get(request);
    if (spans === undefined) this.#open.set(request, [span]);
    else spans.push(span);
    return this.#onTrack('b', request, span.name, args);
  }

  #end(request: number, span: Span, args: Extra): string {
    return this.#onTrack('e', request, span.name, args);
  }

  #instant(request: number, name: string, args: Extra): string {
    return this.#onTrack('n', request, name, args);
  }

  /** An instant of the whole session. */
  #global(name: string, args: Extra): string {
    return this.#event('i', name, this.#lastNs, { s: 'g', args });
  }

  #counter(state: number): string {
    if (state === this.#state) return '';
    this.#state = state;
    return this.#event('C', 'blkdebug state', this.#lastNs, { args: { state } });
  }

  /** Ends an operation and whatever of it is still open; nothing if it began before the recording did. */
  #endOperation(request: number, node: string, operation: string, errno: number): string {
    const spans = this.#open.get(request) ?? [];
    const at = spans.findLastIndex(
      (span) => span.kind === 'operation' && span.node === node && span.operation === operation,
    );
    if (at < 0) return '';
    let text = '';
    while (spans.length > at) {
      const span = spans.pop() as Span;
      const isOwn = spans.length === at;
      text += this.#end(request, span, isOwn && errno !== 0 ? { error: errnoText(errno) } : {});
    }
    if (spans.length === 0) this.#open.delete(request);
    return text;
  }

  /**
   * Spans of one track must nest. One that is resumed under another, which still suspends the request, ends with that:
   * until then the request stands still in any case.
   */
  #resume(request: number, tag: string): string {
    const spans = this.#open.get(request) ?? [];
    const resumed = spans.findLast((span) => span.kind === 'suspension' && span.tag === tag && !span.isResumed);
    if (resumed?.kind !== 'suspension') return '';
    resumed.isResumed = true;
    let text = '';
    for (let top = spans.at(-1); top?.kind === 'suspension' && top.isResumed; top = spans.at(-1)) {
      spans.pop();
      text += this.#end(request, top, {});
    }
    if (spans.length === 0) this.#open.delete(request);
    return text;
  }

  /** A request that gives a sign of life waits no more. */
  #endWait(request: number): string {
    const spans = this.#open.get(request);
    const top = spans?.at(-1);
    if (spans === undefined || top?.kind !== 'wait') return '';
    spans.pop();
    if (spans.length === 0) this.#open.delete(request);
    return this.#end(request, top, {});
  }

  #onTrack(phase: 'b' | 'e' | 'n', request: number, name: string, args: Extra): string {
    return this.#event(phase, name, this.#lastNs, { cat: 'request', id: `0x${request.toString(16)}`, args });
  }

  #metadata(what: string, name: string): string {
    return this.#event('M', what, this.#lastNs, { args: { name } });
  }

  #event(phase: string, name: string, timeNs: number, extra: Extra): string {
    // A recording from elsewhere may have empty names, which a reader of traces takes for none.
    const event = {
      ph: phase,
      name: name || 'unnamed',
      ts: Math.round(timeNs) / 1000,
      pid: PROCESS,
      tid: THREAD,
      ...extra,
    };
    const separator = this.#isFirst ? '' : ',\n';
    this.#isFirst = false;
    return separator + JSON.stringify(event);
  }
}

/** "rule 3 added" */
function ruleChangeText({ kind, rule }: { readonly kind: RuleChange; readonly rule: number }): string {
  return `rule ${rule} ${kind.slice('rule-'.length)}`;
}
