/** `write`: writes a pattern, a file's content, zeroes, compressed data or VM state. */
import type { Pending } from '../../util/steps.ts';
import { Perm, REQUEST_MAX_BYTES, Req } from '../../block/flags.ts';
import { CommandOptions, patternArgument, refuse, requireSector, sizeArgument } from '../words/arguments.ts';
import type { Lease } from '../data/buffer-pool.ts';
import type { Command, Outcome } from '../command.ts';
import { leaseFromFile } from '../data/pattern-file.ts';
import { report, timedRequest } from '../output/report.ts';
import type { Session } from '../session.ts';

export const write = {
  name: 'write',
  aliases: ['w'],
  args: '[-bcCfnquz] [-P pattern | -s source_file] off len',
  oneline: 'writes a number of bytes at a specified offset',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: true,
  perm: Perm.WRITE,
  options: 'bcCfnpP:qs:uz',
  optionHelp: {
    b: "write the VM state that lies behind the guest's data",
    c: 'write compressed',
    C: 'report as one line of comma-separated values',
    f: 'be on stable storage before the write ends (FUA)',
    n: 'with -z: fail where zeroes would have to be written as data',
    p: 'nothing; old scripts give it',
    P: 'the value of every byte, in place of 0xcd',
    q: 'say nothing but errors',
    s: 'take the data from a file, repeated as often as needed',
    u: 'with -z: let the space be given back',
    z: 'write zeroes as such, without data',
  },
  help: [
    'Writes len bytes at offset off of the image, and reports how long that took.',
    '  write -P 0xaa 0 64k     fills the first 64 KiB with 0xaa',
    '  write -z -u 1M 1M       makes the second MiB read as zeroes, and frees it',
  ],
  operands: ['offset', 'length'],
  run: runWrite,
} satisfies Command;

interface WriteOptions {
  vmState: boolean;
  compressed: boolean;
  zeroes: boolean;
  terse: boolean;
  quiet: boolean;
  pattern: number | null;
  sourceFile: string | null;
  /** Bits of `Req`. */
  flags: number;
}

function runWrite(session: Session, argv: string[]): Outcome {
  const words = new CommandOptions(session, argv, write.options);
  const options = parse(session, words);
  const { first: offsetText, second: lengthText } = words.twoOperands;
  refuseContradictions(session, options);
  const { vmState, compressed, zeroes, terse, quiet, flags } = options;

  const offset = sizeArgument(session, offsetText);
  const bytes = sizeArgument(session, lengthText);
  if (bytes > REQUEST_MAX_BYTES && (flags & Req.NO_FALLBACK) === 0) {
    throw refuse(session, `length cannot exceed ${REQUEST_MAX_BYTES} without -n, given ${lengthText}`);
  }
  if (vmState || compressed) {
    requireSector(session, offset, 'offset');
    requireSector(session, bytes, 'count');
  }

  const { image } = session;
  const position = Number(offset);
  const count = Number(bytes);
  const lease = zeroes ? null : leaseData(session, options, count);
  const begin = (): Pending => {
    if (lease === null) return image.pwriteZeroes(position, count, flags);
    if (vmState) return image.saveVmState(position, lease.data);
    if (compressed) return image.pwriteCompressed(position, lease.data);
    return image.pwrite(position, lease.data, flags);
  };
  return timedRequest(session, 'write', lease, begin, (ns) => {
    if (!quiet) report(session, 'wrote', offset, bytes, ns, terse);
  });
}

function parse(session: Session, words: CommandOptions): WriteOptions {
  const options: WriteOptions = {
    vmState: false,
    compressed: false,
    zeroes: false,
    terse: false,
    quiet: false,
    pattern: null,
    sourceFile: null,
    flags: 0,
  };
  while (words.next()) {
    const { name, argument } = words;
    if (name === 'b') options.vmState = true;
    else if (name === 'c') options.compressed = true;
    else if (name === 'C') options.terse = true;
    else if (name === 'f') options.flags |= Req.FUA;
    else if (name === 'n') options.flags |= Req.NO_FALLBACK;
    else if (name === 'P') options.pattern = patternArgument(session, argument);
    else if (name === 'q') options.quiet = true;
    else if (name === 's') options.sourceFile = argument;
    else if (name === 'u') options.flags |= Req.MAY_UNMAP;
    else if (name === 'z') options.zeroes = true;
  }
  return options;
}

function leaseData(session: Session, { pattern, sourceFile }: WriteOptions, bytes: number): Lease {
  if (sourceFile !== null) return leaseFromFile(session, sourceFile, bytes);
  return session.writeBuffers.lease(bytes, pattern ?? 0xcd);
}

function refuseContradictions(session: Session, options: WriteOptions): void {
  const { vmState, compressed, zeroes, pattern, sourceFile, flags } = options;
  if (vmState && zeroes) throw refuse(session, '-b and -z cannot be specified at the same time');
  if ((flags & Req.FUA) !== 0 && (vmState || compressed)) {
    throw refuse(session, '-f and -b or -c cannot be specified at the same time');
  }
  if ((flags & Req.NO_FALLBACK) !== 0 && !zeroes) throw refuse(session, '-n requires -z to be specified');
  if ((flags & Req.MAY_UNMAP) !== 0 && !zeroes) throw refuse(session, '-u requires -z to be specified');
  if (Number(zeroes) + Number(pattern !== null) + Number(sourceFile !== null) > 1) {
    throw refuse(session, 'Only one of -z, -P, and -s can be specified at the same time');
  }
}
