/** Points of a run, and errors that are put there: by rules of blkdebug at events, by the case's hook at requests. */
import { portOf } from '../block/debug/port.ts';
import { BlockError } from '../block/error.ts';
import { type DebugEvent, eventName } from '../block/events/events.ts';
import type { BlockNode } from '../block/graph/node.ts';
import { Errno } from '../util/errno.ts';
import type { Case, CaseHooks } from './case.ts';
import type { NodeRequest } from '../sandbox/sandbox-drivers.ts';
import type { FileRequest } from '../sandbox/disks/disk-log.ts';

/** The errors that are tried. */
export const errnoNames = ['EIO', 'ENOSPC'] as const;
/** One of them. */
export type ErrnoName = (typeof errnoNames)[number];

/** A moment of a run: the `nth` event of a kind on a node with rules, or the `nth` request of a kind to a file. */
export type Point =
  | { readonly kind: 'event'; readonly event: string; readonly node: number; readonly nth: number }
  | { readonly kind: 'request'; readonly request: FileRequest['kind']; readonly disk: number; readonly nth: number };

/** A point that a run has come by, with the line of the script that ran then. */
export interface Passed {
  readonly point: Point;
  readonly command: number;
}

/** An error at a point: for one request, or for all from there on that the point's rule covers. */
export interface Injection {
  readonly point: Point;
  readonly errno: ErrnoName;
  readonly once: boolean;
}

/** The points that a run comes by, and the errors that it meets there. */
export class Injector {
  readonly passed: Passed[] = [];
  /** Where in `passed` the first error was put. */
  firstAt = -1;
  readonly #injections: readonly Injection[];
  readonly #running: () => Case;
  readonly #nodes: BlockNode[] = [];
  readonly #counts = new Map<string, number>();
  /** Requests of a kind to a disk that fail from now on. */
  readonly #failing = new Map<string, ErrnoName>();
  readonly #watched = new Set<string>();
  /** The request that the rules of a node are being checked for. */
  #asked: NodeRequest | null = null;
  /** Looks at a status under way, by the number of the coroutine. */
  readonly #looks = new Map<number, number>();

  constructor(injections: readonly Injection[], running: () => Case) {
    this.#injections = injections;
    this.#running = running;
  }

  readonly hooks: CaseHooks = {
    event: (node, event) => this.#atEvent(node, event),
    request: (request) => this.#atRequest(request),
    asked: (_node, what) => {
      this.#asked = what;
    },
    status: ({ loop }, isBegin) => {
      const coroutine = loop.current?.id ?? 0;
      this.#looks.set(coroutine, (this.#looks.get(coroutine) ?? 0) + (isBegin ? 1 : -1));
    },
  };

  #atEvent(node: BlockNode, event: DebugEvent): undefined {
    const name = eventName(event);
    let index = this.#nodes.indexOf(node);
    if (index < 0) index = this.#nodes.push(node) - 1;
    const nth = this.#count(`${name}@${index}`);
    const injection = this.#pass({ kind: 'event', event: name, node: index, nth });
    if (injection === undefined) return undefined;
    this.#watch(node);
    const once = injection.once ? 'on' : 'off';
    portOf(node)?.rules.add('inject-error', new Map(Object.entries({ event: name, errno: injection.errno, once })));
    return undefined;
  }

  #atRequest({ kind, disk, request }: FileRequest): undefined {
    const key = `${kind}#${disk}`;
    const nth = this.#count(key);
    const injection = this.#pass({ kind: 'request', request: kind, disk, nth });
    if (injection !== undefined && !injection.once) this.#failing.set(key, injection.errno);
    const errno = injection?.errno ?? this.#failing.get(key);
    if (errno === undefined) return undefined;
    this.#note(`${errno} for a ${kind} of the file`, kind === 'discard', request);
    throw new BlockError(Errno[errno]);
  }

  /** Notes an error. A range whose status is not known counts as data, and a discard need not be done. */
  #note(text: string, isDiscard: boolean, coroutine: number): void {
    const isHint = isDiscard || (this.#looks.get(coroutine) ?? 0) > 0;
    this.#running().note({ kind: 'injected', text, isHint });
  }

  #count(key: string): number {
    const count = (this.#counts.get(key) ?? 0) + 1;
    this.#counts.set(key, count);
    return count;
  }

  /** Notes a point; the error that it has, if any. */
  #pass(point: Point): Injection | undefined {
    this.passed.push({ point, command: this.#running().command });
    const injection = this.#injections.find((one) => isSame(one.point, point));
    if (injection !== undefined && this.firstAt < 0) this.firstAt = this.passed.length - 1;
    return injection;
  }

  /** Notes in the journal which requests the rules of a node fail from now on. */
  #watch({ trace, nodeName, loop }: BlockNode): void {
    if (this.#watched.has(nodeName)) return;
    this.#watched.add(nodeName);
    trace.subscribe(({ kind, node }) => {
      if (kind !== 'error-injected' || node !== nodeName) return;
      const what = this.#asked ?? 'request';
      this.#note(`an error for a ${what}`, what === 'discard', loop.current?.id ?? 0);
    });
  }
}

/** Whether two points are one. */
export function isSame(one: Point, other: Point): boolean {
  if (one.nth !== other.nth) return false;
  if (one.kind === 'event') return other.kind === 'event' && one.event === other.event && one.node === other.node;
  return other.kind === 'request' && one.request === other.request && one.disk === other.disk;
}
