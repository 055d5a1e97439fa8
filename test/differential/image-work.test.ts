/**
 * `snapshot`, `compare` and `commit` beside qemu-img: over random images, the same words, bytes and content.
 *
 * `CASES=500 SEED=1 npm run test:differential -- image-work` goes further.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blkscope, type Outcome, runProgram } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';
import type { Qcow2Content } from './qcow2-image.ts';
import { qcow2Kind } from './qcow2-kind.ts';

const cases = Number(process.env.CASES ?? 40);
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
const TIME_LIMIT_MS = 300_000 + cases * 3000;

const names = ['disk.img', 'base.img', 'data.raw'];

const qemuImg = (folder: string, ...args: readonly string[]): Promise<Outcome> =>
  runProgram({ command: 'qemu-img', args: [] }, args, { cwd: folder });

const ours = (folder: string, line: string, ...flags: readonly string[]): Promise<Outcome> =>
  runProgram(blkscope, ['-f', 'qcow2', ...flags, '-c', line, 'disk.img'], { cwd: folder });

/** As qemu-img opens an image that it changes. */
const WRITES = ['-d', 'unmap'];

/** Without what opening the image says, which both do, each with its own name. */
function said({ stdout, stderr }: Outcome): string {
  return `${stdout}${stderr}`.replaceAll(/^qemu-(io|img): /gm, 'PROGRAM: ');
}

/** Times of snapshots, wherever the table with them is. */
function withoutTimes(image: Buffer): Buffer {
  const count = image.readUInt32BE(60);
  let at = Number(image.readBigUInt64BE(64));
  const copy = Buffer.from(image);
  for (let index = 0; index < count; index++) {
    at = Math.ceil(at / 8) * 8;
    copy.fill(0, at + 16, at + 24);
    at += 40 + image.readUInt32BE(at + 36) + image.readUInt16BE(at + 12) + image.readUInt16BE(at + 14);
  }
  return copy;
}

const times = /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g;

/** Makes the image twice, in two folders. */
async function twice(content: Qcow2Content, body: (theirs: string, own: string) => Promise<void>): Promise<void> {
  const sandbox = new Sandbox();
  try {
    await qcow2Kind.create(sandbox, content);
    const folders = ['theirs', 'own'].map((name) => path.join(sandbox.folder, name)) as [string, string];
    for (const folder of folders) {
      mkdirSync(folder);
      for (const name of names) {
        if (existsSync(sandbox.path(name))) copyFileSync(sandbox.path(name), path.join(folder, name));
      }
    }
    await body(...folders);
  } finally {
    sandbox.remove();
  }
}

const step = fc.oneof(
  fc.constantFrom('a', 'b', 'x').map((name) => ['-c', name]),
  fc.constantFrom('a', 'b', 'x', '1', '2').map((name) => ['-a', name]),
  fc.constantFrom('a', 'b', 'x').map((name) => ['-d', name]),
  fc.constant(['-l']),
);

async function check<T>(property: fc.IAsyncProperty<[Qcow2Content, T]>): Promise<void> {
  const result = await fc.check(property, { seed, numRuns: cases, interruptAfterTimeLimit: TIME_LIMIT_MS });
  if (!result.failed) return;
  const [content, rest] = result.counterexample ?? [];
  const image = content === undefined ? '' : qcow2Kind.describe(content);
  expect.fail(
    `SEED=${seed}, case ${result.numRuns}\n${image}\n${JSON.stringify(rest)}\n${String(result.errorInstance)}`,
  );
}

const image = qcow2Kind.image.map((content) => ({ ...content, damage: [] }));

describe(`work on images, seed ${seed}`, () => {
  it('snapshots are those of qemu-img, byte for byte', { timeout: TIME_LIMIT_MS * 2 }, async () => {
    const steps = fc.array(step, { minLength: 1, maxLength: 4 });
    const property = fc.asyncProperty(image, steps, (content, chosen) =>
      twice(content, async (theirs, own) => {
        for (const words of chosen) {
          const expected = await qemuImg(theirs, 'snapshot', ...words, 'disk.img');
          const actual = await ours(own, ['snapshot', ...words].join(' '), ...(words[0] === '-l' ? ['-r'] : WRITES));
          expect(said(actual).replaceAll(times, 'TIME'), words.join(' ')).toBe(
            said(expected).replaceAll(times, 'TIME'),
          );
          expect(actual.exit, words.join(' ')).toBe(expected.exit);
          const [one, two] = [theirs, own].map((folder) => withoutTimes(readFileSync(path.join(folder, 'disk.img'))));
          expect(two?.length).toBe(one?.length);
          expect(
            two?.findIndex((byte, at) => byte !== one?.[at]),
            words.join(' '),
          ).toBe(-1);
        }
      }),
    );
    await check(property);
  });

  it('a commit leaves the content that qemu-img leaves, in sound images', { timeout: TIME_LIMIT_MS * 2 }, async () => {
    const property = fc.asyncProperty(image, fc.boolean(), (content, keeps) =>
      twice(content, async (theirs, own) => {
        const flags = keeps ? ['-d'] : [];
        const expected = await qemuImg(theirs, 'commit', ...flags, '-f', 'qcow2', 'disk.img');
        const actual = await ours(own, ['commit', ...flags].join(' '), ...WRITES);
        expect(said(actual)).toBe(said(expected));
        expect(actual.exit).toBe(expected.exit);
        if (content.backing === null) return;
        const { format } = content.backing;
        for (const [name, kind] of [
          ['base.img', format],
          ['disk.img', 'qcow2'],
        ] as const) {
          const same = await qemuImg(own, 'compare', '-f', kind, '-F', kind, name, path.join(theirs, name));
          expect(said(same), name).toContain('Images are identical.');
        }
        const maps = [];
        for (const folder of [theirs, own])
          maps.push((await qemuImg(folder, 'map', '-f', 'qcow2', '--output=json', 'disk.img')).stdout);
        const depths = maps.map((text) => (JSON.parse(text) as { depth: number }[]).some(({ depth }) => depth === 0));
        if (!keeps) expect(depths[1]).toBe(depths[0]);
        const checked = await qemuImg(own, 'check', '-f', 'qcow2', 'disk.img');
        const wanted = await qemuImg(theirs, 'check', '-f', 'qcow2', 'disk.img');
        expect(checked.exit).toBe(wanted.exit);
      }),
    );
    await check(property);
  });

  it('a comparison says what qemu-img says', { timeout: TIME_LIMIT_MS * 2 }, async () => {
    const other = fc.constantFrom(
      'write -P 7 0 512',
      'write -z 0 64k',
      'write -P 0 4k 8k',
      'truncate 2M',
      'truncate 64k',
      'length',
    );
    const property = fc.asyncProperty(image, fc.tuple(other, fc.boolean()), (content, [line, isStrict]) =>
      twice(content, async (theirs, own) => {
        await runProgram({ command: 'qemu-io', args: [] }, ['-f', 'qcow2', '-c', line, 'disk.img'], { cwd: theirs });
        const flags = isStrict ? ['-s'] : [];
        const second = path.join(theirs, 'disk.img');
        const expected = await qemuImg(own, 'compare', ...flags, '-f', 'qcow2', '-F', 'qcow2', 'disk.img', second);
        const actual = await ours(own, ['compare', ...flags, '-F qcow2', second].join(' '), '-r');
        expect(said(actual)).toBe(said(expected));
        expect(actual.exit).toBe(expected.exit);
      }),
    );
    await check(property as unknown as fc.IAsyncProperty<[Qcow2Content, [string, boolean]]>);
  });
});
