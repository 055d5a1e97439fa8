/** The life of a session's image: open, and close with everything in flight ended or cancelled. */
import type { BlockBackend } from '../block/backend.ts';
import { debugNodes, debugPort, portOf, suspendedRequests } from '../block/debug/port.ts';
import { BlockError } from '../block/error.ts';
import { closeBackend } from '../block/graph/graph.ts';
import { releaseHeld } from '../block/graph/quiet.ts';
import { openBackend } from '../block/open/open.ts';
import { Options } from '../block/options/options.ts';
import { sayError } from './failure.ts';
import { suspendedLines, waitingLine } from './output/suspended-text.ts';
import type { SessionState } from './session-state.ts';
import { run } from '../util/steps.ts';

/** Cancelled requests can run into further breakpoints, each of which stops one request once. */
const MAX_CANCELS = 100_000;
/** How long rules may delay requests now, and a server may take to answer after a signal, in nanoseconds. */
const GRACE_NS = 1e9;

/** An image for `openImage`. `options` are used up. */
export interface OpenRequest {
  readonly filename: string | null;
  readonly options: Options | null;
  /** Bits of `Open`. */
  readonly flags: number;
  readonly writethrough: boolean;
  readonly forceShare: boolean;
}

/** Opens an image, or says why not. */
export async function openImage(session: SessionState, request: OpenRequest): Promise<boolean> {
  if (session.loop.current !== null) return openInCoroutine(session, request);
  let isOpen = false;
  await session.loop.run('open', async () => {
    isOpen = await openInCoroutine(session, request);
  });
  return isOpen;
}

async function openInCoroutine(session: SessionState, request: OpenRequest): Promise<boolean> {
  const { filename, options, flags, writethrough, forceShare } = request;
  if (session.backend !== null) {
    session.error("file open already, try 'help close'");
    return false;
  }
  let allOptions = options;
  if (forceShare) {
    allOptions ??= new Options();
    if (allOptions.has('force-share') && allOptions.get('force-share') !== 'on') {
      session.error('-U conflicts with image options');
      return false;
    }
    allOptions.set('force-share', 'on');
  }
  let backend: BlockBackend;
  try {
    backend = await openBackend(session.context, { filename, options: allOptions, flags });
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    sayError(session, error, `can't open${filename === null ? '' : ` device ${filename}`}: `);
    return false;
  }
  // An interrupted open that waited for its server goes on in the background; another one may have been first.
  if (session.backend !== null) {
    await closeBackend(backend);
    session.error("file open already, try 'help close'");
    return false;
  }
  session.backend = backend;
  backend.writeCacheEnabled = !writethrough;
  session.context.trace.emit(0, session.top.nodeName, { kind: 'image-opened' });
  return true;
}

/**
 * Ends its exports and every request, and closes the image, if one is open. Requests that are suspended are listed on
 * standard error and cancelled; then the exit status is 1. So are those that rules delay for more than a moment, and
 * those that wait for a server when this is interrupted, or soon after what led here was.
 */
export async function closeImage(session: SessionState): Promise<void> {
  const { backend, background, loop } = session;
  if (backend === null) return;
  const endGrace = beginGrace(session, backend);
  await session.exports?.end();
  background.begin();
  releaseHeld(backend.top);
  if (!(await background.drain())) await cancelAll(session, backend);
  endDelays(backend);
  const { trace } = session.context;
  const { nodeName } = backend.top;
  trace.emit(0, nodeName, { kind: 'image-closing' });
  for (const node of debugNodes(backend.top)) portOf(node)?.rules.disableBreakpoints();
  session.backend = null;
  // Something that cannot be cancelled still uses the image; the host will close it.
  if (backend.inFlight > 0) {
    endGrace?.();
    return;
  }
  let isClosed = false;
  await loop.run('close', async () => {
    await run(backend.drained('close', () => closeBackend(backend)));
    isClosed = true;
  });
  endGrace?.();
  // No breakpoint is left, but what the close writes may wait for a server that says nothing.
  if (!isClosed) await cancelAll(session, backend);
  trace.emit(0, nodeName, { kind: 'image-closed' });
}

/** Lets a moment pass, and then no delay, nor a server if this was interrupted, hold the close. Takes that back. */
function beginGrace(session: SessionState, backend: BlockBackend): (() => void) | null {
  const { loop, background } = session;
  const { wasInterrupted } = background;
  if (loop.alive.size === 0 && !wasInterrupted) return null;
  return loop.clock.after(GRACE_NS, () => {
    cancelWaiting(session, 'delay');
    endDelays(backend);
    if (wasInterrupted) session.interrupt();
  });
}

/** No rule lets a request wait from now on. */
function endDelays({ top }: BlockBackend): void {
  for (const node of debugNodes(top)) portOf(node)?.rules.endDelays();
}

/** Cancels the requests that wait for a server, or that rules delay, after a line about each. */
function cancelWaiting(session: SessionState, ...kinds: readonly ('network' | 'delay')[]): void {
  const { loop } = session;
  for (const coroutine of loop.alive) {
    if (coroutine.cancelled || !kinds.some((kind) => coroutine.waitsFor?.kind === kind)) continue;
    session.hadCancelledRequests = true;
    session.error(`cancelled: ${waitingLine(coroutine, loop.clock.nowNs())}`);
    loop.cancel(coroutine);
  }
}

/** Cancels every request that is suspended, delayed, or waits for a server, after a line about each. */
async function cancelAll(session: SessionState, backend: BlockBackend): Promise<void> {
  const { background, loop } = session;
  session.hadCancelledRequests = true;
  background.begin();
  const lines = suspendedLines(suspendedRequests(backend.top), loop.clock.nowNs());
  for (const line of lines) session.error(`cancelled: ${line}`);
  cancelWaiting(session, 'network', 'delay');
  endDelays(backend);
  await background.untilIdle();
  for (let attempt = 0; attempt < MAX_CANCELS; attempt += 1) {
    const oldest = suspendedRequests(backend.top).at(-1);
    if (oldest === undefined) break;
    await debugPort(backend.top).cancel(oldest.tag);
    await background.untilIdle();
  }
  if (background.unfinished > 0) session.error(`${background.unfinished} requests never ended`);
}
