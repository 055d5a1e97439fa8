/** Runs command lines over an image with blkdebug below it, in memory, and gives the hazards that were told. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Case } from '../../src/search/case.ts';
import { type ImageSettings, makeImage } from '../drivers/qcow2/make-image.ts';
import { scenarioOf, worldOf } from '../search/search-world.ts';

/** The image, and options besides. */
export interface HazardImage {
  /** Null for a raw image of 1 MiB. */
  readonly qcow2: ImageSettings | null;
  /** Options of the image and its file, as `--image-opts` has them; without the driver and the file name. */
  readonly options?: readonly string[];
  readonly writethrough?: boolean;
}

/** The hazards, and what the session said. Requests are numbered from the opening of the image on. */
export async function runLines(
  folder: string,
  { qcow2, options = [], writethrough = false }: HazardImage,
  lines: readonly string[],
): Promise<{ readonly hazards: readonly string[]; readonly stdout: string; readonly stderr: string }> {
  const file = path.join(folder, 'disk');
  writeFileSync(file, qcow2 === null ? Buffer.alloc(1 << 20, 0xaa) : makeImage(qcow2));
  const dataFile = path.join(folder, 'data');
  if (qcow2?.dataFile !== undefined) writeFileSync(dataFile, Buffer.alloc(qcow2.lengthBytes ?? 1 << 20));
  const driver = qcow2 === null ? 'raw' : 'qcow2';
  const words = [
    `driver=${driver}`,
    'discard=unmap',
    'file.driver=blkdebug',
    'file.image.driver=file',
    `file.image.filename=${file}`,
    ...(qcow2?.dataFile === undefined ? [] : ['data-file.driver=file', `data-file.filename=${dataFile}`]),
    ...options,
  ];
  const world = worldOf(scenarioOf(words.join(','), lines, writethrough));
  const { hazards, transcript, disks, crash } = await new Case(world).run();
  disks.release();
  world.close();
  if (crash !== null) throw crash;
  return { hazards, stdout: transcript.stdout, stderr: transcript.stderr };
}
