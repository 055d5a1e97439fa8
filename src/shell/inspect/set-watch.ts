/** The work of `watch`: from the words to the places in the file, and to the node that sees what is written there. */
import { breakpointPort, debugNode, type WatchedPlaces } from '../../block/debug/port.ts';
import { BlockError, invalidArgument } from '../../block/error.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import { type InspectedRange, inspectorOf, type Watchable } from '../../block/inspect.ts';
import { peek } from '../../block/request/peek.ts';
import { Errno } from '../../util/errno.ts';
import { run } from '../../util/steps.ts';
import { hinted } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { sizeArgument } from '../words/arguments.ts';
import { hintSettings, rulesOf, settingsFrom } from '../words/rule-words.ts';

/** Sets a watch on a part of the image. ENOTSUP if no node sees its file's writes, EINVAL for words that make none. */
export async function setWatch(
  session: SessionState,
  what: Watchable,
  text: string,
  tag: string,
  words: readonly string[],
): Promise<void> {
  rulesOf(session, null);
  const port = breakpointPort(session.top);
  const debug = debugNode(session.top) as BlockNode;
  const conditions = settingsFrom(words);
  for (const name of ['event', 'tag']) {
    if (conditions.has(name)) throw invalidArgument(`a watch has no '${name}'`);
  }
  const format = formatAbove(session.top, debug);
  const isGuests = what === 'l2' || what === 'range';
  // The file may not yet be as long as a cluster that is waited for.
  const length = isGuests ? session.top.getLength() : Number.MAX_SAFE_INTEGER;
  const range = watchedRange(session, text, length, isGuests ? 'disk' : 'file');
  const places = await placesOf(format, what, range);
  if (what === 'range' && format?.children.some(({ name }) => name === 'data-file') === true) {
    session.hint('the data is in a file of its own, and not watched: only the entries that say where it is');
  }
  const [first] = await places();
  // What cannot be read without a request cannot be compared.
  if (first !== undefined) await run(peek(debug, first.offset, Buffer.alloc(1)));
  try {
    port.setWatch(tag, new Map([...conditions, [what, text]]), places);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    throw hinted(session, error, () => hintSettings(session, words));
  }
}

/** The node with metadata whose file the debug node is, directly or below filters; null if the debug node is above. */
function formatAbove(top: BlockNode, debug: BlockNode): BlockNode | null {
  let format: BlockNode | null = null;
  for (let node: BlockNode | null = top; node !== null && node !== debug; node = node.primaryChild?.node ?? null) {
    if (node.driver.inspector !== undefined) format = node;
    else if (node.filteredChild === null) format = null;
  }
  return format;
}

async function placesOf(format: BlockNode | null, what: Watchable, range: InspectedRange): Promise<WatchedPlaces> {
  if (format === null) {
    if (what !== 'range') {
      throw new BlockError(
        Errno.ENOTSUP,
        `blkdebug is not below a format with metadata here: only a range can be watched`,
      );
    }
    const places = [{ what: 'data', offset: range.offset, bytes: range.bytes }];
    return () => places;
  }
  const inspector = await inspectorOf(format);
  return () => inspector.watched(what, range);
}

/** "OFF" is one byte, and what it belongs to; "OFF..END" all from OFF to before END. EINVAL behind the end. */
function watchedRange(session: SessionState, text: string, length: number, where: string): InspectedRange {
  const [from = '', to, ...more] = text.split('..');
  if (more.length > 0) throw invalidArgument(`'${text}' is no range of bytes A..B`);
  const offset = Number(sizeArgument(session, from));
  const end = to === undefined ? offset + 1 : Number(sizeArgument(session, to));
  if (offset < length && end <= offset) throw invalidArgument(`'${text}' is no range of bytes A..B`);
  if (offset >= length || end > length) {
    throw invalidArgument(`'${text}' is behind the end of the ${where}, which is ${length} bytes long`);
  }
  return { offset, bytes: end - offset };
}
