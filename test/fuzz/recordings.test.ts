/** Recordings come from outside: whatever is in their lines, a report or a panel is made or the line is named. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { BlockError } from '../../src/block/error.ts';
import { pageScript } from '../../src/live/page/page.ts';
import { LiveModel } from '../../src/live/panel/model.ts';
import { renderPanel } from '../../src/live/panel/panel.ts';
import { makeReport, readRecording } from '../../src/live/record/report.ts';
import { unpainted } from '../../src/util/style.ts';
import { textWidth } from '../../src/util/text-width.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { checkedTrace } from '../live/record/chrome-check.ts';
import { hostileRecording } from './hostile-recordings.ts';

const folder = useFolder();
const SEED = '20261128';
const CASES = Number(process.env.FUZZ_RECORDINGS ?? 1_000);
/** How many are also drawn, and read as the page would. */
const SHOWN_EVERY = 10;

const { readRun } = runInNewContext(`${pageScript}\n;({ readRun })`) as { readRun: (text: string) => unknown };

/** Whether the recording was accepted. A refusal names the line. */
async function take(index: number): Promise<boolean> {
  const input = path.join(folder, 'run.ndjson');
  writeFileSync(input, hostileRecording(SEED, index));
  const form = ['ndjson', 'json', 'html'][index % 3];
  const output = path.join(folder, `report.${form}`);
  try {
    await makeReport(input, output);
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    expect(error.message).toMatch(/ line \d+: |its first line is no header|has schema/);
    return false;
  }
  const made = readFileSync(output, 'utf8');
  if (form === 'json') checkedTrace(made);
  if (form === 'ndjson') expect([...readRecording(output, [])].length).toBeGreaterThan(0);
  if (form === 'html') expect(made.match(/<\/script>/g)).toHaveLength(3);
  if (index % SHOWN_EVERY === 0) show(input);
  return true;
}

function show(input: string): void {
  const model = new LiveModel();
  for (const line of readRecording(input, [])) model.take(line);
  for (const columns of [30, 80, 160]) {
    const rows = columns < 60 ? 1 : 12;
    for (const line of renderPanel(model, { columns, rows, nowNs: 3e9, paint: unpainted })) {
      expect(textWidth(line)).toBe(columns);
    }
  }
  readRun(readFileSync(input, 'utf8'));
}

it('a recording with hostile lines becomes a report, or is refused with the number of the line', {
  timeout: 180_000,
}, async () => {
  let accepted = 0;
  for (let index = 0; index < CASES; index += 1) {
    try {
      if (await take(index)) accepted += 1;
    } catch (error) {
      throw new Error(`case ${index} of seed ${SEED}`, { cause: error });
    }
  }
  // Both ways are taken often.
  expect(accepted).toBeGreaterThan(CASES / 20);
  expect(accepted).toBeLessThan(CASES / 2);
});
