/** All that `qemu-img check` does with an image: the check, a second look after a repair, its words and exit status. */
import { type Answer, run, type Steps } from '../util/steps.ts';
import type { CheckRepair, CheckResult } from './driver.ts';
import { BlockError } from './error.ts';
import { Errno } from '../util/errno.ts';
import type { BlockNode } from './graph/node.ts';

/** The counts while they are made. */
export type CheckCounts = { -readonly [Key in keyof CheckResult]: CheckResult[Key] };

/** All counts 0. */
export function noCounts(): CheckCounts {
  return {
    checkErrors: 0,
    corruptions: 0,
    leaks: 0,
    corruptionsFixed: 0,
    leaksFixed: 0,
    imageEndOffset: 0,
    totalClusters: 0,
    allocatedClusters: 0,
    fragmentedClusters: 0,
    compressedClusters: 0,
  };
}

/** The exit status of `qemu-img check` for an image that can be checked. */
export type CheckStatus = 0 | 1 | 2 | 3;

/**
 * Checks an image as `qemu-img check` does: if anything was repaired, a second time, after a call of `repaired` with
 * the result of the first. Returns the result of the last look, with the repairs of the first. Problems are lines of
 * the context's `warn`. Throws BlockError if the check cannot go on: ENOTSUP for a format without checks.
 */
export function checkTwice(
  node: BlockNode,
  repair: CheckRepair,
  repaired: (first: CheckResult) => void = () => {},
): Answer<CheckResult> {
  return run<CheckResult>(steps(node, repair, repaired));
}

function* steps(node: BlockNode, repair: CheckRepair, repaired: (first: CheckResult) => void): Steps<CheckResult> {
  const { driver } = node;
  if (driver.check === undefined) throw new BlockError(Errno.ENOTSUP, 'This image format does not support checks');
  const first: CheckResult = yield driver.check(node, { repair });
  const { leaksFixed, corruptionsFixed } = first;
  if (leaksFixed === 0 && corruptionsFixed === 0) return first;
  repaired(first);
  const second: CheckResult = yield driver.check(node, { repair: 'none' });
  return { ...second, leaksFixed, corruptionsFixed };
}

/** 0: sound; 1: the check itself failed; 2: corrupt; 3: only leaks. */
export function checkStatus({ checkErrors, corruptions, leaks }: CheckResult): CheckStatus {
  if (checkErrors > 0) return 1;
  if (corruptions > 0) return 2;
  return leaks > 0 ? 3 : 0;
}

/** The lines in which `qemu-img check` says what it has repaired, before it looks again. */
export function describeRepairs({ leaksFixed, corruptionsFixed }: CheckResult): string[] {
  return [
    'The following inconsistencies were found and repaired:',
    '',
    `    ${leaksFixed} leaked clusters`,
    `    ${corruptionsFixed} corruptions`,
    '',
    'Double checking the fixed image now...',
  ];
}

/** The lines in which `qemu-img check` says its result. */
export function describeCheck(result: CheckResult): string[] {
  const { checkErrors, corruptions, leaks, imageEndOffset } = result;
  const { totalClusters, allocatedClusters, fragmentedClusters, compressedClusters } = result;
  const lines: string[] = [];
  if (checkErrors === 0 && corruptions === 0 && leaks === 0) lines.push('No errors were found on the image.');
  if (corruptions > 0) {
    lines.push('', `${corruptions} errors were found on the image.`);
    lines.push('Data may be corrupted, or further writes to the image may corrupt it.');
  }
  if (leaks > 0) {
    lines.push('', `${leaks} leaked clusters were found on the image.`);
    lines.push('This means waste of disk space, but no harm to data.');
  }
  if (checkErrors > 0) lines.push('', `${checkErrors} internal errors have occurred during the check.`);
  if (totalClusters > 0 && allocatedClusters > 0) {
    lines.push(
      `${allocatedClusters}/${totalClusters} = ${percent(allocatedClusters, totalClusters)} allocated, ` +
        `${percent(fragmentedClusters, allocatedClusters)} fragmented, ` +
        `${percent(compressedClusters, allocatedClusters)} compressed clusters`,
    );
  }
  if (imageEndOffset > 0) lines.push(`Image end offset: ${imageEndOffset}`);
  return lines;
}

/** With two decimals, as printf rounds: a tie goes to the even digit. */
function percent(part: number, whole: number): string {
  const value = (part * 100) / whole;
  const isTie = (value * 8) % 2 === 1;
  const below = Math.floor(value * 100);
  return isTie && below % 2 === 0 ? `${(below / 100).toFixed(2)}%` : `${value.toFixed(2)}%`;
}

/** The object that `qemu-img check --output=json` prints: what is zero is left out, but for the errors of the check. */
export function checkAsJson(result: CheckResult, filename: string, format: string): Record<string, string | number> {
  const numbers: Record<string, number> = {
    'image-end-offset': result.imageEndOffset,
    corruptions: result.corruptions,
    leaks: result.leaks,
    'corruptions-fixed': result.corruptionsFixed,
    'leaks-fixed': result.leaksFixed,
    'total-clusters': result.totalClusters,
    'allocated-clusters': result.allocatedClusters,
    'fragmented-clusters': result.fragmentedClusters,
    'compressed-clusters': result.compressedClusters,
  };
  const present = Object.entries(numbers).filter(([, count]) => count > 0);
  return { ...Object.fromEntries(present), 'check-errors': result.checkErrors, filename, format };
}
