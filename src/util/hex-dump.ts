/** A hex dump, sixteen bytes a line, in the form of `read -v`. */

const BYTES_PER_LINE = 16;
const LINES_PER_PIECE = 4096;

const hexOf = Array.from({ length: 256 }, (_, byte) => `${byte.toString(16).padStart(2, '0')} `);
const textOf = Array.from({ length: 256 }, (_, byte) => {
  const char = String.fromCharCode(byte);
  return byte < 128 && /[0-9A-Za-z]/.test(char) ? char : '.';
});

/** Hands the dump of `data` to `write`, in pieces of some hundred KiB; `offset` is the address of the first byte. */
export function hexDump(data: Uint8Array, offset: number, write: (text: string) => void): void {
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
      write(piece);
      piece = '';
      lines = 0;
    }
  }
  if (piece !== '') write(piece);
}
