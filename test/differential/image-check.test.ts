/**
 * The check of damaged images beside `qemu-img check`: the same output, exit status and bytes of the file, looking
 * alone and repairing.
 *
 * `CASES=2000 SEED=1 npm run test:differential` takes so many images, of every geometry, half of them made by QEMU.
 */
import { isDeepStrictEqual } from 'node:util';
import { expect, it } from 'vitest';
import { formatCase } from '../fuzz/format-cases.js';
import type { ImageFile } from '../fuzz/qcow2-writer.js';
import { qemuImages } from '../fuzz/qemu-images.js';
import {
  type Checked,
  checkedByQemu,
  checkedByUs,
  damagedImage,
  isEncrypted,
  repairs,
} from '../helpers/damaged-images.ts';
import { useEmptyFolder } from '../helpers/sandbox.ts';
import { textDiff } from './text-diff.ts';

const cases = Number(process.env.CASES ?? 100);
const seed = process.env.SEED ?? '1';
/** Differences that a failure shows. */
const SHOWN = 10;

const folder = useEmptyFolder();

/** Where two outcomes differ; null if they do not. */
function difference(theirs: Checked, ours: Checked): string | null {
  if (isDeepStrictEqual({ ...theirs, bytes: 0 }, { ...ours, bytes: 0 }) && theirs.bytes.equals(ours.bytes)) return null;
  const text = ({ exit, stdout, stderr, length }: Checked): string =>
    `exit ${exit}\nlength ${length}\n${typeof stdout === 'string' ? stdout : JSON.stringify(stdout)}\n${stderr}`;
  const lines = textDiff('qemu-img', 'blkscope', text(theirs), text(ours)).split('\n');
  const said = lines.filter((line) => !line.startsWith(' ')).slice(0, 12);
  const at = theirs.bytes.findIndex((byte, index) => byte !== ours.bytes[index]);
  const from = at - (at % 8);
  const part = ({ bytes }: Checked): string => bytes.subarray(from, from + 32).toString('hex');
  return [...said, ...(at < 0 ? [] : [`bytes from ${from}: ${part(theirs)} and ${part(ours)}`])].join('\n');
}

/** The files of image `index` and its format; null for one that cannot be checked without a key. */
type Damaged = (index: number) => { readonly files: readonly ImageFile[]; readonly format: string } | null;

async function checkAll(damaged: Damaged): Promise<void> {
  // Names in images begin at the current folder.
  process.chdir(folder);
  const verdicts = new Map<string, number>();
  const differences: string[] = [];
  let unanswered = 0;
  let tooLong = 0;
  for (let index = 0; index < cases; index++) {
    const image = damaged(index);
    if (image === null) continue;
    const { files, format } = image;
    for (const [turn, repair] of repairs.entries()) {
      const isJson = (index + turn) % 2 === 0;
      const theirs = checkedByQemu(files, repair, isJson, format);
      if (theirs === null) {
        // An assertion of QEMU, or a wait without end.
        unanswered += 1;
        continue;
      }
      const key = `${repair} ${theirs.exit}`;
      verdicts.set(key, (verdicts.get(key) ?? 0) + 1);
      const ours = await checkedByUs(files, repair, isJson, format);
      if (ours.stderr.endsWith('File too large\n')) {
        // A damaged header of vmdk can claim a disk that is longer than any that this program opens.
        tooLong += 1;
        continue;
      }
      const found = difference(theirs, ours);
      if (found !== null) differences.push(`SEED=${seed}, image ${index}, repair ${repair}\n${found}`);
    }
  }
  console.log(
    JSON.stringify({ ...Object.fromEntries([...verdicts].sort(([a], [b]) => (a < b ? -1 : 1))), unanswered, tooLong }),
  );
  expect(differences.slice(0, SHOWN).join('\n\n'), `${differences.length} differences`).toBe('');
  expect(unanswered + tooLong).toBeLessThan(3 + cases / 20);
}

it(`${cases} damaged images are checked and repaired as qemu-img does it, seed ${seed}`, async () => {
  const pool = qemuImages().filter((files) => !isEncrypted(files));
  await checkAll((index) => {
    const files = damagedImage(seed, index, pool);
    return isEncrypted(files) ? null : { files, format: 'qcow2' };
  });
});

it(`${cases} damaged images of other formats, seed ${seed}`, async () => {
  // Of qcow nothing can be checked.
  await checkAll((index) => {
    const one = formatCase(seed, index);
    return one.format === 'qcow' ? null : one;
  });
});
