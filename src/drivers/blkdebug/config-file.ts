/**
 * The config file of blkdebug: sections of a group, each with an optional id and `key = "value"` lines.
 *
 * The grammar is QEMU's, and looser than it looks; the `ini` package knows neither its sections that repeat nor what it
 * makes of malformed lines, so this is a parser of its own (observed with qemu-io 7.2.22):
 * - a line is at most 1,023 bytes long, the rest counts as the next line; a NUL byte ends it;
 * - only a line that begins with `#` is a comment, only one that begins with `[` is a header;
 * - `[group "id` counts as well as `[group "id"]`, and what follows a value's closing quote is ignored;
 * - a line with a word but without `= "value"` sets that word to the empty string;
 * - names are cut at 63 bytes;
 * - a line that begins with `[]` is a setting like any other, but also the group's name if no header follows it.
 */
import { BlockError, errorWithErrno, withContext } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import { FileReader } from '../../util/file-reader.ts';

/** A section: `[inject-error]` with the lines behind it. */
export interface ConfigSection {
  readonly group: string;
  /** The line of its header, from 1. */
  readonly line: number;
  /** The id of the header counts as the value of `id`; of several values for one key the last counts. */
  readonly values: ReadonlyMap<string, string>;
}

const LINE_BYTES_MAX = 1023;
/** Far above every real file; a device that never ends must not eat the memory. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;

const UNREADABLE = 'Could not read blkdebug config file';

/**
 * The sections of a file, one after the other. Throws when it comes to a line that cannot be. `unreadable` is the
 * context of the error for a file that cannot be opened.
 */
export function* readConfigFile(path: string, unreadable = UNREADABLE): Generator<ConfigSection> {
  yield* parseConfig(readWhole(path, unreadable), path);
}

function readWhole(path: string, unreadable: string): Buffer {
  const file = withContext(unreadable, () => new FileReader(path));
  try {
    const chunks: Buffer[] = [];
    for (let total = 0; total <= FILE_BYTES_MAX; ) {
      const chunk = Buffer.allocUnsafe(64 * 1024);
      const bytes = withContext('Cannot read config file', () => file.read(chunk));
      if (bytes === 0) return Buffer.concat(chunks);
      chunks.push(chunk.subarray(0, bytes));
      total += bytes;
    }
    throw errorWithErrno(Errno.EFBIG, 'Cannot read config file');
  } finally {
    file.close();
  }
}

/** The sections of a file's text; `path` is its name in errors. EINVAL at a line that cannot be. */
export function* parseConfig(text: Buffer, path = ''): Generator<ConfigSection> {
  let section: { group: string; line: number; values: Map<string, string> } | null = null;
  let lastGroup = '';
  let number = 1;
  let isNext = false;
  for (const line of lines(text)) {
    // A long line is read as several.
    if (isNext) number += 1;
    isNext = line.endsWith('\n');
    if (line.startsWith('\n') || line.startsWith('#')) continue;
    const header = line.startsWith('[') ? parseHeader(line) : null;
    if (header !== null) lastGroup = header.group;
    if (header !== null && !header.isSetting) {
      if (section !== null) yield section;
      section = { group: header.group, line: number, values: new Map(header.id === null ? [] : [['id', header.id]]) };
      continue;
    }
    const setting = parseSetting(line);
    if (setting === null) throw new BlockError(Errno.EINVAL, 'parse error', `${path}:${number}`);
    if (section === null) throw new BlockError(Errno.EINVAL, 'no group defined', `${path}:${number}`);
    section.values.set(setting.key, setting.value);
  }
  if (section !== null) yield { ...section, group: lastGroup };
}

/**
 * Bytes become characters one to one, so that lengths are bytes; names and values are decoded when they are cut out.
 */
function* lines(text: Buffer): Generator<string> {
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf(0x0a, start);
    const end = Math.min(newline < 0 ? text.length : newline + 1, start + LINE_BYTES_MAX);
    const [line = ''] = text.toString('latin1', start, end).split('\0', 1);
    yield line;
    start = end;
  }
}

function parseHeader(line: string): { group: string; id: string | null; isSetting: boolean } {
  const { word, rest } = firstWord(line.slice(1));
  const id = /^"([^"]{1,63})/.exec(rest);
  if (word !== '' && id !== null) return { group: decode(word), id: decode(id[1]), isSetting: false };
  const plain = /^\[([^\]]{1,63})/.exec(line);
  return { group: decode(plain?.[1] ?? word), id: null, isSetting: plain === null };
}

function parseSetting(line: string): { key: string; value: string } | null {
  const { word, rest } = firstWord(line);
  if (word === '') return null;
  const value = /^=[ \t\n\v\f\r]*"([^"]{1,1023})/.exec(rest);
  return { key: decode(word), value: decode(value?.[1]) };
}

/** Up to 63 bytes without white space, and what comes behind the white space after them. */
function firstWord(text: string): { word: string; rest: string } {
  const [, word = '', rest = ''] = /^[ \t\n\v\f\r]*([^ \t\n\v\f\r]{0,63})[ \t\n\v\f\r]*(.*)$/s.exec(text) ?? [];
  return { word, rest };
}

function decode(bytes: string | undefined): string {
  return Buffer.from(bytes ?? '', 'latin1').toString();
}
