/** Makes a page, or a trace for Perfetto, of a recording in NDJSON. */
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { BlockError, withContext } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import { fileIdentity, isSameFile } from './recording-file.ts';
import { openSink } from './sinks.ts';
import { isRecord, parseLine, type RecordingLine, SCHEMA_VERSION, SchemaError } from './schema.ts';

/** The result of a report, beside the file that it wrote. */
export interface Report {
  /** Records of the bus in the recording. */
  readonly records: number;
  /** Remarks for the reader: a torn last line, a recording that did not end in order. */
  readonly notes: readonly string[];
}

const CHUNK_BYTES = 1 << 20;
/** Far beyond any line of ours. */
const MAX_LINE_CHARS = 16 << 20;

/**
 * Reads `input` and writes `output`; the extension of its name chooses the form. EINVAL with the line's number for a
 * line that does not belong in a recording; the last line may be torn.
 */
export async function makeReport(input: string, output: string): Promise<Report> {
  const notes: string[] = [];
  let records = 0;
  let isFirst = true;
  let hasEnd = false;
  const lines = readRecording(input, notes);
  // The output is not made before the input has turned out to be a recording.
  const first = lines.next();
  if (first.done === true) throw new BlockError(Errno.EINVAL, `'${input}' is empty`);
  const own = fileIdentity(statSync(input));
  const sink = await openSink(output, (other) => (isSameFile(other, own) ? 'it is the recording itself' : null));
  try {
    for (let step: IteratorResult<RecordingLine> = first; step.done !== true; step = lines.next()) {
      const line = step.value;
      if (isRecord(line)) {
        records += 1;
        sink.record(line);
      } else {
        // Recordings that were put behind each other have several.
        if (line.kind === 'header' && !isFirst) continue;
        if (line.kind === 'end') hasEnd = true;
        // Lines are written as those of today.
        sink.line(line.kind === 'header' ? { ...line, schema: SCHEMA_VERSION } : line);
      }
      isFirst = false;
    }
    if (!hasEnd) notes.push('the recording did not end in order; its last moments may be missing');
    for (const text of notes) sink.line({ kind: 'note', text, dropped: 0 });
  } finally {
    sink.close();
  }
  return { records, notes };
}

/** The lines of a recording, checked. A torn last line goes to `notes`. */
export function* readRecording(input: string, notes: string[]): Generator<RecordingLine, void> {
  let number = 0;
  for (const { text, isTorn } of textLines(input)) {
    number += 1;
    const line = checkedLine(input, text, number, isTorn, notes);
    if (line !== null) yield line;
  }
}

function checkedLine(
  input: string,
  text: string,
  number: number,
  isTorn: boolean,
  notes: string[],
): RecordingLine | null {
  let line: RecordingLine | null;
  try {
    line = parseLine(text);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    if (isTorn && number > 1) {
      notes.push(`the last line (${number}) is torn and left out`);
      return null;
    }
    throw new BlockError(Errno.EINVAL, `'${input}' line ${number}: ${error.message}`);
  }
  if (number === 1) checkHeader(input, line);
  return line;
}

function checkHeader(input: string, line: RecordingLine | null): void {
  if (line?.kind !== 'header')
    throw new BlockError(Errno.EINVAL, `'${input}' is not a recording: its first line is no header`);
  if (line.schema > SCHEMA_VERSION) {
    throw new BlockError(Errno.EINVAL, `'${input}' has schema ${line.schema}; this program knows ${SCHEMA_VERSION}`);
  }
}

/** Lines without their newline; the last one is torn if it has none. */
function* textLines(input: string): Generator<{ text: string; isTorn: boolean }> {
  const fd = withContext(`Could not read '${input}'`, () => openSync(input, 'r'));
  try {
    const decoder = new StringDecoder('utf8');
    const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    let rest = '';
    for (;;) {
      const bytes = withContext(`Could not read '${input}'`, () => readSync(fd, chunk));
      const text = rest + (bytes === 0 ? decoder.end() : decoder.write(chunk.subarray(0, bytes)));
      const lines = text.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line !== '') yield { text: line, isTorn: false };
      }
      if (rest.length > MAX_LINE_CHARS) throw new BlockError(Errno.EINVAL, `'${input}' has a line without end`);
      if (bytes === 0) break;
    }
    if (rest !== '') yield { text: rest, isTorn: true };
  } finally {
    closeSync(fd);
  }
}
