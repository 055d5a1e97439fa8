/** A hex dump, sixteen bytes a line, in the form of `read -v`. */

const BYTES_PER_LINE = 16;
const LINES_PER_PIECE = 4096;

/** The two forms of each byte, made when the first dump is asked for. */
let forms: { readonly hexOf: readonly string[]; readonly textOf: readonly string[] } | undefined;

function makeForms(): NonNullable<typeof forms> {
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  return {
    hexOf: bytes.map((byte) => `${byte.toString(16).padStart(2, '0')} `),
    textOf: bytes.map((byte) => {
      const char = String.fromCharCode(byte);
      return byte < 128 && /[0-9A-Za-z]/.test(char) ? char : '.';
    }),
  };
}

/** Gives the dump of `data` in pieces of some hundred KiB; `offset` is the address of the first byte. */
export function* hexDump(data: Uint8Array, offset: number): Generator<string> {
  forms ??= makeForms();
  const { hexOf, textOf } = forms;
  let piece = '';
  let lines = 0;
  for (let start = 0; start < data.length; start += BYTES_PER_LINE) {
    const end = Math.min(start + BYTES_PER_LINE, data.length);
    let hex = '';
    let text = '';
    for (let index = start; index < end; index += 1) {
      const byte = data[index] ?? 0;
      hex += hexOf[byte];
      text += textOf[byte];
    }
    piece += `${(offset + start).toString(16).padStart(8, '0')}:  ${hex} ${text}\n`;
    lines += 1;
    if (lines === LINES_PER_PIECE) {
      yield piece;
      piece = '';
      lines = 0;
    }
  }
  if (piece !== '') yield piece;
}
