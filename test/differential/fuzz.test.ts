/**
 * A part of what `scripts/fuzz` does: damaged images and spoiled texts, the same ones each time.
 *
 * `CASES=20000 SEED=2 npm run test:differential fuzz` tries more of them, and others.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const fuzz = fileURLToPath(new URL('../../scripts/fuzz/index.js', import.meta.url));
const cases = process.env.CASES ?? '600';
const seed = process.env.SEED ?? '1';

it(`${cases} damaged images and ${cases} spoiled texts, seed ${seed}`, async () => {
  const args = [fuzz, '--count', cases, '--seed', seed];
  const answer = await new Promise<{ status: number; output: string }>((resolve) => {
    const child = execFile(process.execPath, args, { maxBuffer: 1 << 30 }, (_error, stdout, stderr) =>
      resolve({ status: child.exitCode ?? -1, output: stdout + stderr }),
    );
  });
  expect(answer.output).toContain(`images: ${cases} cases`);
  expect(answer.output).toContain(`texts: ${cases} cases`);
  expect(answer, answer.output).toMatchObject({ status: 0 });
});
