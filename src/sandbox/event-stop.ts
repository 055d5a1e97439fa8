/** Stops a session that runs again at one event: the request that fires it is suspended, and nothing else goes on. */
import { debugNode, portOf } from '../block/debug/port.ts';
import { BlockError } from '../block/error.ts';
import type { TraceRecord } from '../block/events/trace.ts';
import type { Session } from '../shell/session.ts';
import type { Arrival } from '../shell/session-timeline.ts';
import { freeTag } from '../shell/words/tags.ts';
import { requestName } from '../util/compact.ts';
import { Errno } from '../util/errno.ts';

/** A stop at the event of one number. It waits until `end`. */
export class EventStop {
  /** The event has fired. */
  isMet = false;
  readonly #session: Session;
  readonly #number: number;
  readonly #unsubscribe: () => void;
  #event = '';
  #tag: string | null = null;
  /** Why nothing could be stopped. */
  #reason = 'its request was cancelled';

  constructor(session: Session, number: number) {
    const { trace } = session.context;
    this.#session = session;
    this.#number = number;
    // The bus tells of an event before the rules of its node are evaluated: a stop that is set now counts for it.
    this.#unsubscribe = trace.subscribe((record) => {
      if (record.kind === 'event' && !this.isMet && trace.history.total === number) this.#meet(record);
    });
  }

  #meet({ event, node }: TraceRecord & { readonly kind: 'event' }): void {
    const session = this.#session;
    const { loop, background, backend } = session;
    this.isMet = true;
    this.#event = event;
    loop.isFrozen = true;
    // Lines of a file behind the one that has led here do not run.
    background.interrupt();
    const ruled = backend === null ? null : debugNode(backend.top);
    const { current } = loop;
    if (backend === null || current === null) this.#reason = 'the image was being opened or closed';
    else if (ruled === null) this.#reason = 'no node has breakpoints; -D puts one below the format';
    else if (ruled.nodeName !== node) this.#reason = 'it fired on a node without breakpoints';
    else {
      this.#tag = freeTag(session);
      session.tags.add(this.#tag);
      portOf(ruled)?.stopAt(this.#tag, { request: current.id, event });
    }
  }

  /** The request that is suspended. EINVAL if nothing could be stopped at the event, EIO if it has not fired. */
  stopped(): NonNullable<Arrival['stopped']> {
    if (!this.isMet) throw ranOtherwise();
    const { backend } = this.#session;
    const port = backend === null ? undefined : portOf(debugNode(backend.top) ?? backend.top);
    const found = port?.suspended().find(({ tag }) => tag === this.#tag);
    if (found !== undefined)
      return { request: requestName(found.operation, found.request), event: found.event, tag: found.tag };
    throw new BlockError(Errno.EINVAL, `nothing can be stopped at #${this.#number} ${this.#event}: ${this.#reason}`);
  }

  end(): void {
    this.#unsubscribe();
  }
}

/** The numbers of the events at which a request can be stopped, among those that fire while `body` runs. */
export async function stoppableEvents(session: Session, body: () => Promise<void>): Promise<number[]> {
  const { trace } = session.context;
  const numbers: number[] = [];
  const unsubscribe = trace.subscribe(({ kind, node }) => {
    const { backend, loop } = session;
    if (kind !== 'event' || backend === null || loop.current === null) return;
    if (debugNode(backend.top)?.nodeName === node) numbers.push(trace.history.total);
  });
  try {
    await body();
  } finally {
    unsubscribe();
  }
  return numbers;
}

/** The session does not run as it did: a fault of the program, or of a file that has changed. */
export function ranOtherwise(): BlockError {
  return new BlockError(Errno.EIO, 'the session does not run again as it did; a file of it may have changed');
}
