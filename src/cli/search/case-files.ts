/** Copies of the files of a case in a folder: as they are on the host, or as a case has them in memory. */
import { closeSync, copyFileSync, ftruncateSync, mkdirSync, openSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';
import { invalidArgument, withContext } from '../../block/error.ts';
import type { CaseDisk, Disks } from '../../sandbox/disks/disks.ts';
import { isAllZero } from '../../util/pattern.ts';

/** Files larger than that are not copied. */
const COPIED_MAX_BYTES = 4 * 2 ** 30;
const PIECE_BYTES = 1 << 20;

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
