/** `writev`: writes a pattern from several buffers. */
import { Perm } from '../../block/flags.ts';
import type { Command, Outcome } from '../command.ts';
import { offsetAndVector, quiet, rangeCommand, registered, terse } from '../requests/range.ts';
import { runRequest } from '../requests/run-request.ts';
import { DEFAULT_PATTERN, forceUnitAccess, pattern, requestFlags, WriteRequest } from '../requests/writing.ts';
import type { SessionState } from '../session-state.ts';
import { OptionTable } from '../words/option-table.ts';

const options = new OptionTable({ terse, forceUnitAccess, quiet, registered, pattern });

export const writev = {
  name: 'writev',
  args: 'off len [len..]',
  oneline: 'writes a number of bytes at a specified offset',
  ...rangeCommand,
  perm: Perm.WRITE,
  options,
  help: [
    'Writes as many bytes as all lengths together, in one request at offset off.',
    '  writev -P 1 512 1k 1k    fills 2 KiB from the second sector on',
  ],
  run: runWritev,
} satisfies Command;

function runWritev(session: SessionState, argv: string[]): Outcome {
  const parsed = options.parse(session, argv);
  const { offset, bytes } = offsetAndVector(session, parsed.words.operands);
  const lease = session.writeBuffers.lease(bytes, parsed.options.pattern ?? DEFAULT_PATTERN);
  const flags = requestFlags(parsed.options);
  const place = { name: 'writev', offset, bytes, lease, flags, target: 'guest' } as const;
  return runRequest(session, new WriteRequest(place, parsed.options));
}
