/**
 * Our commands that look at metadata see what qemu-img sees, over random images: the runs of the disk, the refcounts.
 *
 * `CASES=2000 SEED=1 npm run test:differential -- inspected` goes further.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';
import { qcow2Kind } from './qcow2-kind.ts';
import { makingOf, type Qcow2Content } from './qcow2-image.ts';
import { rawKind } from './raw-kind.ts';

const cases = Number(process.env.CASES ?? 60);
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
const TIME_LIMIT_MS = 300_000 + cases * 2000;

interface Answer {
  readonly stdout: string;
  readonly stderr: string;
  readonly exit: string;
}

const qemuImg = (folder: string, ...args: readonly string[]): Promise<Answer> =>
  runProgram({ command: 'qemu-img', args: [] }, args, { cwd: folder });

const ours = (folder: string, format: string, line: string): Promise<Answer> =>
  runProgram(blkscope, ['-r', '-f', format, '-c', line, 'disk.img'], { cwd: folder });

/** A run as `qemu-img map` has it. */
interface MapEntry {
  readonly start: number;
  readonly length: number;
  readonly depth: number;
  readonly present: boolean;
  readonly zero: boolean;
  readonly data: boolean;
  readonly offset?: number;
}

/** The runs, those in a row that qemu-img would join as one. */
function mapped(text: string): string[] {
  const entries: MapEntry[] = [];
  for (const { start, length, depth, present, zero, data, offset } of JSON.parse(text) as (MapEntry & {
    offset?: number | null;
  })[]) {
    const last = entries.at(-1);
    const entry = { start, length, depth, present, zero, data, ...(typeof offset === 'number' ? { offset } : {}) };
    const follows =
      last !== undefined &&
      last.depth === depth &&
      last.present === present &&
      last.zero === zero &&
      last.data === data &&
      (last.offset === undefined ? entry.offset === undefined : last.offset + last.length === entry.offset);
    if (last !== undefined && follows) entries[entries.length - 1] = { ...last, length: last.length + length };
    else entries.push(entry);
  }
  return entries.map((entry) => JSON.stringify(entry));
}

/** Clusters whose refcount is not the number of their references, as qemu-img check says it. */
function wrongCounts(rows: string): string[] {
  const lines: string[] = [];
  for (const { cluster, clusters, refcount, references } of JSON.parse(rows) as {
    cluster: number;
    clusters: number;
    refcount: number | null;
    references: number;
  }[]) {
    const counted = refcount ?? 0;
    if (counted === references) continue;
    const word = counted > references ? 'Leaked' : 'ERROR';
    for (let index = cluster; index < cluster + clusters; index++) {
      lines.push(`${word} cluster ${index} refcount=${counted} reference=${references}`);
    }
  }
  return lines;
}

/** Without the messages of opening the image: a session has opened it once before. */
function withoutOpening(text: string): string {
  return text
    .replaceAll(/.*warning: .*\n|Some clusters may be leaked.*\n/g, '')
    .replaceAll(/qemu-(img|io): /g, 'PROGRAM: ');
}

async function inFolder(body: (sandbox: Sandbox) => Promise<void>): Promise<void> {
  const sandbox = new Sandbox();
  try {
    await body(sandbox);
  } finally {
    sandbox.remove();
  }
}

async function check(property: fc.IAsyncProperty<[unknown]>, describeCase: (one: never) => string): Promise<void> {
  const result = await fc.check(property, {
    seed,
    numRuns: cases,
    interruptAfterTimeLimit: TIME_LIMIT_MS,
    markInterruptAsFailure: true,
  });
  if (!result.failed) return;
  const example = result.counterexample === null ? '' : describeCase(result.counterexample[0] as never);
  expect.fail(`SEED=${seed}, case ${result.numRuns}\n${example}\n${String(result.errorInstance)}`);
}

describe(`what is seen, seed ${seed}`, () => {
  it('of a qcow2 image is what qemu-img map and qemu-img check see', { timeout: TIME_LIMIT_MS * 2 }, async () => {
    let seen = 0;
    const property = fc.asyncProperty(qcow2Kind.image, (content: Qcow2Content) =>
      inFolder(async (sandbox) => {
        const { folder } = sandbox;
        await qcow2Kind.create(sandbox, content);
        const map = await qemuImg(folder, 'map', '-f', 'qcow2', '--output=json', 'disk.img');
        // Damage can make it stop at any place, and say nothing of the rest.
        if (map.exit !== '0') return;
        seen += 1;
        const seenMap = await ours(folder, 'qcow2', 'map -v -j');
        expect(seenMap.stderr.replaceAll(/.*warning.*\n|Some clusters may be leaked.*\n/g, '')).toBe('');
        expect(mapped(seenMap.stdout)).toEqual(mapped(map.stdout));
        const { stdout, stderr } = await qemuImg(folder, 'check', '-f', 'qcow2', 'disk.img');
        const checked = await ours(folder, 'qcow2', 'check');
        expect(checked.stdout).toBe(stdout);
        expect(withoutOpening(checked.stderr)).toBe(withoutOpening(stderr));
        if (content.damage.length > 0) return;
        const expected = `${stdout}${stderr}`.split('\n').filter((line) => / refcount=\d+ reference=\d+$/.test(line));
        expect(wrongCounts((await ours(folder, 'qcow2', 'dump -j refcounts')).stdout)).toEqual(expected);
      }),
    );
    await check(
      property as fc.IAsyncProperty<[unknown]>,
      (content: Qcow2Content) => qcow2Kind.describe(content) + JSON.stringify(makingOf(content).at(-1)),
    );
    expect(seen).toBeGreaterThan(cases / 2);
  });

  it('of a raw image is what qemu-img map sees', { timeout: TIME_LIMIT_MS * 2 }, async () => {
    const property = fc.asyncProperty(rawKind.image, (content) =>
      inFolder(async (sandbox) => {
        const { folder } = sandbox;
        await rawKind.create(sandbox, content);
        const map = await qemuImg(folder, 'map', '-f', 'raw', '--output=json', 'disk.img');
        expect(mapped((await ours(folder, 'raw', 'map -v -j')).stdout)).toEqual(mapped(map.stdout));
      }),
    );
    await check(property as fc.IAsyncProperty<[unknown]>, (content: never) => rawKind.describe(content));
  });
});
