/**
 * Random scripts, rules and limits give the same in qemu-io and in blkscope: output, exit status, image and its map.
 *
 * `CASES=5000 npm run test:differential` runs more of them of each kind of image, `SEED=…` the same ones again,
 * `KIND=qcow2` only this kind. A failure shows the smallest script that still fails.
 */
import fc from 'fast-check';
import { textDiff } from './text-diff.ts';
import { describe, expect, it } from 'vitest';
import { encryptedQcow2Kind, luksKind } from './encrypted-kinds.ts';
import { compare, describeCase } from './compare.ts';
import type { ImageContent, ImageKind } from './image-kind.ts';
import { filterKinds } from './filter-kinds.ts';
import { encryptedQcowKind, qcowKind, qedKind, vmdkKind } from './format-kinds.ts';
import { qcow2Kind } from './qcow2-kind.ts';
import { randomCase } from './random-case.ts';
import { rawKind } from './raw-kind.ts';
import { splitVmdkKind } from './vmdk-extents.ts';

/** Of the kinds that most of the code is for; of each other kind fewer. */
const MAIN_CASES = 210;
const OTHER_CASES = 18;
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
/** Run beside each other; each takes its own part of the cases. */
const LANES = 3;

function tryKind<Content extends ImageContent>(kind: ImageKind<Content>): void {
  if (process.env.KIND !== undefined && process.env.KIND !== kind.name) return;
  const isMain = kind.name === rawKind.name || kind.name === qcow2Kind.name;
  const cases = Number(process.env.CASES ?? (isMain ? MAIN_CASES : OTHER_CASES));
  // Making a failure smaller ends there at the latest.
  const timeLimitMs = 600_000 + cases * 500;
  describe.concurrent(`random scripts over ${kind.name} images, seed ${seed}`, () => {
    const counts = { same: 0, unanswerable: 0, unsteady: 0 };
    for (let lane = 0; lane < LANES; lane++) {
      const share = Math.ceil((cases - lane) / LANES);
      it(`${share} cases, part ${lane + 1} of ${LANES}`, async () => {
        const property = fc.asyncProperty(randomCase(kind), async (one) => {
          const verdict = await compare(kind, one);
          if (verdict.outcome !== 'different') {
            counts[verdict.outcome]++;
            return;
          }
          const diff = textDiff('qemu-io', 'blkscope', verdict.expected, verdict.actual);
          throw new Error(`${describeCase(kind, one)}\n${diff}`);
        });
        const result = await fc.check(property, {
          seed: seed + lane,
          numRuns: share,
          interruptAfterTimeLimit: timeLimitMs,
          markInterruptAsFailure: true,
        });
        if (result.failed) {
          const { errorInstance: error, numRuns, numShrinks } = result;
          const shrunk = error instanceof Error ? error.message : String(error);
          expect.fail(`SEED=${seed}, part ${lane + 1}, case ${numRuns}, made smaller ${numShrinks} times:\n${shrunk}`);
        }
        console.log(`${kind.name}, part ${lane + 1}: ${JSON.stringify(counts)}`);
        // Cases that the real program cannot answer prove nothing; there must be few of them.
        expect(counts.unanswerable + counts.unsteady, JSON.stringify(counts)).toBeLessThan(10 + cases / 8);
      });
    }
  });
}

tryKind(rawKind);
tryKind(qcow2Kind);
tryKind(luksKind);
tryKind(encryptedQcow2Kind);
tryKind(qedKind);
tryKind(qcowKind);
tryKind(encryptedQcowKind);
tryKind(vmdkKind);
tryKind(splitVmdkKind);
for (const kind of filterKinds) tryKind(kind);
