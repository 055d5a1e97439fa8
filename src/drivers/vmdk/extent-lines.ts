/** The text of a descriptor: its type, and the lines that name its extents. Texts are Latin-1, a byte a character. */
import { invalidArgument } from '../../block/error.ts';
import { Scanner } from './scanner.ts';

const MAX_WORD = 10;
const MAX_NAME = 511;
const MAX_TYPE = 127;

/** The kinds of extents. */
const extentTypes = ['FLAT', 'SPARSE', 'VMFS', 'VMFSSPARSE', 'SESPARSE'] as const;
export type ExtentType = (typeof extentTypes)[number];

/** An extent as its line names it. */
export interface ExtentLine {
  readonly type: ExtentType;
  readonly filename: string;
  readonly sectors: bigint;
  /** Of a flat extent: where its data begin in the file, in sectors. */
  readonly offset: bigint;
}

/** The text up to the first zero byte, as C reads it. */
export function textOf(data: Buffer): string {
  const end = data.indexOf(0);
  return data.toString('latin1', 0, end < 0 ? data.length : end);
}

/** A piece of the text as users read it. */
export function asUtf8(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8');
}

/** The value of `createType`; null if there is none. */
export function createTypeOf(text: string): string | null {
  const found = text.indexOf('createType');
  if (found < 0) return null;
  const start = found + 'createType="'.length;
  const end = text.indexOf('"', start);
  return end < 0 || end - start > MAX_TYPE ? null : text.slice(start, end);
}

/**
 * The extents of a descriptor, in order. A line of another form is none; EINVAL for one that begins as that of an
 * extent and does not go on so. As in QEMU a line without a word counts for the line that follows it, which then is
 * read twice.
 */
export function* extentLines(text: string): Generator<ExtentLine> {
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const found = readLine(text, start, end);
    if (found !== null) yield found;
    start = end + 1;
  }
}

function readLine(text: string, start: number, end: number): ExtentLine | null {
  const scanner = new Scanner(text, start);
  const access = scanner.word(MAX_WORD);
  const sectors = access === null ? null : scanner.integer();
  const word = sectors === null ? null : scanner.word(MAX_WORD);
  const filename = word === null ? null : scanner.quoted(MAX_NAME);
  if (access !== 'RW' || sectors === null || word === null || filename === null) return null;
  const offset = scanner.endQuote() ? scanner.integer() : null;
  const isSound = word === 'FLAT' ? offset !== null && offset >= 0n : offset === null;
  if (!isSound) throw invalidArgument(`Invalid extent line: ${asUtf8(text.slice(start, end))}`);
  const type = extentTypes.find((known) => known === word);
  return sectors <= 0n || type === undefined
    ? null
    : { type, filename: asUtf8(filename), sectors, offset: offset ?? 0n };
}
