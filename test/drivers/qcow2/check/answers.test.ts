/**
 * Damaged images are checked and repaired as qemu-img 7.2.22 did it when `answers.ndjson` was recorded.
 *
 * `RECORD=1 npm test -- test/drivers/qcow2/check` asks the real program again.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { CheckRepair } from '../../../../src/block/driver.ts';
import {
  type Checked,
  checkedByQemu,
  checkedByUs,
  damagedImage,
  isEncrypted,
  repairs,
} from '../../../helpers/damaged-images.ts';
import { useEmptyFolder } from '../../../helpers/sandbox.ts';

const answersFile = path.join(import.meta.dirname, 'answers.ndjson');
const SEED = 'recorded';
const IMAGES = 120;
const LENGTH_MAX_BYTES = 2 ** 24;
/** Longer messages are told apart by their digest. */
const MESSAGES_MAX_LENGTH = 1000;

const folder = useEmptyFolder();

function digest(data: Buffer | string): string {
  return createHash('sha1').update(data).digest('hex').slice(0, 16);
}

/** A line of the file. */
function answer(index: number, repair: CheckRepair, { exit, stdout, stderr, length, bytes }: Checked) {
  const messages = stderr.length > MESSAGES_MAX_LENGTH ? digest(stderr) : stderr;
  return { index, repair, exit, stdout, stderr: messages, length, bytes: digest(bytes) };
}

/** Asks qemu-img. Images that it has no answer for, or that become enormous, are left out. */
function record(): void {
  const lines: string[] = [];
  for (let index = 0; index < IMAGES; index++) {
    const files = damagedImage(SEED, index, []);
    if (isEncrypted(files)) continue;
    for (const repair of repairs) {
      const checked = checkedByQemu(files, repair, true);
      if (checked === null || checked.length > LENGTH_MAX_BYTES) continue;
      lines.push(`${JSON.stringify(answer(index, repair, checked))}\n`);
    }
  }
  writeFileSync(answersFile, lines.join(''));
}

it('damaged images are checked and repaired as recorded', async () => {
  process.chdir(folder);
  if (process.env.RECORD === '1') record();
  for (const line of readFileSync(answersFile, 'utf8').trimEnd().split('\n')) {
    const recorded = JSON.parse(line) as ReturnType<typeof answer>;
    const { index, repair } = recorded;
    const ours = await checkedByUs(damagedImage(SEED, index, []), repair, true);
    expect(answer(index, repair, ours)).toEqual(recorded);
  }
});
