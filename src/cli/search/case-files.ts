/** Files around a case: those of the user, read up to a limit, and copies in a folder of those that it worked on. */
import { closeSync, copyFileSync, ftruncateSync, mkdirSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { invalidArgument, withContext } from '../../block/error.ts';
import type { CaseDisk, Disks } from '../../sandbox/disks/disks.ts';
import { isAllZero } from '../../util/pattern.ts';

/** Files larger than that are not copied. */
const COPIED_MAX_BYTES = 4 * 2 ** 30;
const PIECE_BYTES = 1 << 20;
/** Results of searches; a text cannot be much longer. */
const RESULTS_MAX_BYTES = 500 << 20;
/** Taken of an input at a time. */
const READ_BYTES = 64 << 10;

/** Copies the files of these names. The copies by the names of their originals. Throws BlockError if that fails. */
export function copyFiles(names: readonly string[], folder: string): Map<string, string> {
  const copies = placesIn(names, folder);
  for (const [name, copy] of copies) {
    withContext(`Could not copy '${name}'`, () => {
      if (statSync(name).size > COPIED_MAX_BYTES) throw invalidArgument(`'${name}' is too large to be copied`);
      copyFileSync(name, copy);
    });
  }
  return copies;
}

/** Writes the disks of a case as files. Their names by those of their originals. Throws BlockError if that fails. */
export function writeDisks({ all }: Disks, folder: string): Map<string, string> {
  const files = placesIn(
    all.map((disk) => disk.path),
    folder,
  );
  for (const disk of all) {
    const file = files.get(disk.path) ?? '';
    withContext(`Could not write '${file}'`, () => writeDisk(disk, file));
  }
  return files;
}

/** Where the copies go: below one folder as their originals lie to each other. */
function placesIn(names: readonly string[], folder: string): Map<string, string> {
  const full = names.map((name) => path.resolve(name));
  let common = path.dirname(full[0] ?? '/');
  while (!full.every((name) => name.startsWith(common === '/' ? common : `${common}/`))) common = path.dirname(common);
  const places = new Map<string, string>();
  for (const [index, name] of full.entries()) {
    const place = path.join(folder, path.relative(common, name));
    withContext(`Could not make '${path.dirname(place)}'`, () => mkdirSync(path.dirname(place), { recursive: true }));
    places.set(names[index] ?? '', place);
  }
  return places;
}

function writeDisk({ content, path: name }: CaseDisk, file: string): void {
  const { lengthBytes } = content;
  if (lengthBytes > COPIED_MAX_BYTES) throw invalidArgument(`'${name}' is too large to be copied`);
  const fd = openSync(file, 'w');
  try {
    ftruncateSync(fd, lengthBytes);
    const piece = Buffer.alloc(PIECE_BYTES);
    for (let offset = 0; offset < lengthBytes; offset += PIECE_BYTES) {
      const part = piece.subarray(0, Math.min(PIECE_BYTES, lengthBytes - offset));
      content.read(offset, part);
      if (!isAllZero(part)) writeSync(fd, part, 0, part.length, offset);
    }
  } finally {
    closeSync(fd);
  }
}

/** The bytes of a file that the user has named, be it a pipe. EINVAL beyond `maxBytes`: it may be endless. */
export function readInput(name: string, maxBytes: number): Buffer {
  const parts: Buffer[] = [];
  let total = 0;
  withContext(name, () => {
    const fd = openSync(name, 'r');
    try {
      for (let count = -1; count !== 0 && total <= maxBytes; total += count) {
        const part = Buffer.allocUnsafe(READ_BYTES);
        count = readSync(fd, part, 0, part.length, null);
        parts.push(part.subarray(0, count));
      }
    } finally {
      closeSync(fd);
    }
  });
  if (total > maxBytes) throw invalidArgument(`${name}: longer than ${maxBytes} bytes`);
  return Buffer.concat(parts);
}

/** Lines of results that other searches have written. */
export function readResults(name: string): string {
  return readInput(name, RESULTS_MAX_BYTES).toString();
}
