/** The life of a session's image: open, and close with everything in flight ended or cancelled. */
import type { BlockBackend } from '../block/backend.ts';
import { debugNodes, debugPort, portOf, suspendedRequests } from '../block/debug/port.ts';
import { BlockError } from '../block/error.ts';
import { closeBackend } from '../block/graph/graph.ts';
import { openBackend } from '../block/open/open.ts';
import { Options } from '../block/options/options.ts';
import { suspendedLines, waitingLine } from './output/suspended-text.ts';
import type { SessionState } from './session-state.ts';
import { run } from '../util/steps.ts';

/** Cancelled requests can run into further breakpoints, each of which stops one request once. */
const MAX_CANCELS = 100_000;
/** How long a server may take to answer when the program was told to end by a signal, in nanoseconds. */
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
    session.error(`can't open${filename === null ? '' : ` device ${filename}`}: ${error.message}`);
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
 * standard error and cancelled; then the exit status is 1. So are those that wait for a server when this is
 * interrupted, or soon after what led here was.
 */
export async function closeImage(session: SessionState): Promise<void> {
  const { backend, background, loop } = session;
  if (backend === null) return;
  await session.exports?.end();
  const endGrace = background.wasInterrupted ? loop.clock.after(GRACE_NS, () => session.interrupt()) : null;
  background.begin();
  if (!(await background.drain())) await cancelAll(session, backend);
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

/** Cancels every request that is suspended or waits for a server, after a line about each. */
async function cancelAll(session: SessionState, backend: BlockBackend): Promise<void> {
  const { background, loop } = session;
  session.hadCancelledRequests = true;
  background.begin();
  const lines = suspendedLines(suspendedRequests(backend.top), loop.clock.nowNs());
  for (const line of lines) session.error(`cancelled: ${line}`);
  for (const coroutine of loop.alive) {
    if (coroutine.waitsFor?.kind !== 'network') continue;
    session.error(`cancelled: ${waitingLine(coroutine, loop.clock.nowNs())}`);
    loop.cancel(coroutine);
  }
  await background.pollUntil(() => false);
  for (let attempt = 0; attempt < MAX_CANCELS; attempt += 1) {
    const oldest = suspendedRequests(backend.top).at(-1);
    if (oldest === undefined) break;
    await debugPort(backend.top).cancel(oldest.tag);
    await background.pollUntil(() => false);
  }
  if (background.unfinished > 0) session.error(`${background.unfinished} requests never ended`);
}
