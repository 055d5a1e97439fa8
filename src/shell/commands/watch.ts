/** `watch`: suspends the requests that are about to change a part of the image in its file. Not in qemu-io. */
import { watchables } from '../../block/inspect.ts';
import type { Command, OperandKind } from '../command.ts';
import { usage } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { hintClosest } from '../words/closest.ts';
import { isSetting, settingCandidates } from '../words/rule-words.ts';
import { freeTag } from '../words/tags.ts';

export const watch = {
  name: 'watch',
  args: 'l2|refcount|cluster|range off[..end] tag [key=value..]',
  oneline: 'suspends each request that is about to change a part of the image in its file',
  minArgs: 3,
  maxArgs: Number.POSITIVE_INFINITY,
  acceptsAlso: ({ length }, session) => length === 3 && session.acceptsExtensions,
  needsFile: true,
  help: [
    'The request stops before what it writes has reached the file, whoever changed it in memory: a flush, too, and one that cuts',
    'the file. It is told what changes, and from what to what. Writes of the same bytes do not stop. It stops every time, until',
    'remove_break; with once=on the first time. The conditions are those of breakpoints.',
    '  watch l2 64k A            the L2 entry of the guest offset 64k, and the L1 entry above it',
    '  watch refcount 0x50000 A  the refcount of the cluster at this offset of the file, and the table entry above it',
    '  watch cluster 0x50000 A   the bytes of the cluster at this offset of the file',
    '  watch range 0..1M A       the data of this range of the guest, and the entries that say where it is; raw images, too',
    '"rules" lists watches, "remove_break A" removes this one and resumes what it has suspended. They need blkdebug below the',
    'format. An image that is closed is not watched: nothing that the close writes is held.',
  ],
  operands: operandKind,
  async run(session, [, what = '', range = '', ...words]) {
    const kind = watchables.find((one) => one === what);
    if (kind === undefined) throw usage(() => hintClosest(session, what, watchables));
    const [first, ...others] = words;
    const isTagged = first !== undefined && !isSetting(first);
    const tag = isTagged ? first : freeTag(session);
    if (!isTagged) session.hint(`the tag is ${tag}`);
    const { setWatch } = await import('../inspect/set-watch.ts');
    await setWatch(session, kind, range, tag, isTagged ? others : words);
    session.tags.add(tag);
  },
} satisfies Command;

function operandKind(session: SessionState, operands: readonly string[], word: string): OperandKind {
  if (operands.length === 0) return watchables;
  if (operands.length === 1) return 'offset';
  if (operands.length === 2) return 'word';
  const own = new RegExp(`^(?:tag|${watchables.join('|')})=`);
  return settingCandidates(session, 'watch', word).filter((candidate) => !own.test(candidate));
}
