/** Where a log of writes ends that is to be appended to. */
import { invalidArgument, withContext } from '../../block/error.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import type { ChildLink } from '../../block/graph/node.ts';
import { readAnywhere } from '../../block/request/read.ts';
import type { Steps } from '../../util/steps.ts';
import {
  decodeHead,
  decodeSuper,
  HEAD_BYTES,
  LOG_MAGIC,
  LOG_VERSION,
  LogFlag,
  SUPER_BYTES,
} from '../../util/log-heads.ts';

/** The end of a log, in bytes, with the sectors and the number of requests that its superblock says. */
export interface LogEnd {
  readonly sectorBytes: number;
  readonly end: number;
  readonly entryCount: number;
}

const KNOWN_FLAGS = BigInt(LogFlag.FLUSH | LogFlag.FUA | LogFlag.DISCARD | LogFlag.MARK);

/**
 * Reads the superblock and the heads of all requests; an empty file is a log without any. EINVAL with QEMU's texts for
 * one that is damaged. A sector size that cannot be is not looked behind.
 */
export function* findLogEnd(log: ChildLink, isSectorSize: (bytes: number) => boolean): Steps<LogEnd> {
  const fileBytes = log.node.getLength();
  if (fileBytes === 0) return { sectorBytes: SECTOR_BYTES, end: SECTOR_BYTES, entryCount: 0 };
  const data = Buffer.alloc(SUPER_BYTES);
  yield withContext('Could not read log superblock', () => readAnywhere(log, 0, data));
  const { magic, version, entryCount, sectorBytes } = decodeSuper(data);
  if (magic !== LOG_MAGIC) throw invalidArgument('Invalid log superblock magic');
  if (version !== LOG_VERSION) throw invalidArgument(`Unsupported log version ${version}`);
  if (!isSectorSize(sectorBytes)) return { sectorBytes, end: sectorBytes, entryCount: 0 };

  const count = Number(entryCount);
  let end = sectorBytes;
  for (let index = 0; index < count; index++) {
    if (end >= fileBytes) {
      // From here on the heads are zeroes: requests of no data.
      end += (count - index) * sectorBytes;
      break;
    }
    end += yield* entryBytes(log, end, index, sectorBytes);
    yield log.node.loop.breathe();
  }
  return { sectorBytes, end, entryCount: count };
}

/** The bytes that a request takes in the log; a discard has no data. */
function* entryBytes(log: ChildLink, offset: number, index: number, sectorBytes: number): Steps<number> {
  const head = Buffer.alloc(HEAD_BYTES);
  yield withContext(`Failed to read log entry ${index}`, () => readAnywhere(log, offset, head));
  const { sectorCount, flags } = decodeHead(head);
  if ((flags & ~KNOWN_FLAGS) !== 0n) {
    throw invalidArgument(`Invalid flags 0x${flags.toString(16)} in log entry ${index}`);
  }
  const dataSectors = (flags & BigInt(LogFlag.DISCARD)) === 0n ? Number(sectorCount) : 0;
  return (1 + dataSectors) * sectorBytes;
}
