/**
 * States after a loss of power, written out, beside the real programs: `qemu-io` opens each, repairs it as it does and
 * reads what blkscope reads, and `qemu-img check` finds in it what the own check finds.
 *
 * `CASES=1000 SEED=1 npm run test:differential` takes so many states of random scenarios.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { type Aftermath, lookAfter, readBaseline } from '../../src/search/aftermath.ts';
import { crash } from '../../src/search/crash/crash.ts';
import { DiskModel } from '../../src/search/model/disk-model.ts';
import type { Json } from '../../src/search/strategy.ts';
import type { Disks } from '../../src/sandbox/disks/disks.ts';
import { isFilledWith } from '../../src/util/pattern.ts';
import { makeQcow2 } from '../fuzz/qcow2-writer.js';
import { Random } from '../fuzz/random.js';
import { useEmptyFolder } from '../helpers/sandbox.ts';
import { scenarioOf, worldOf } from '../search/search-world.ts';

const cases = Number(process.env.CASES ?? 40);
const seed = process.env.SEED ?? '1';
/** Taken of each scenario. */
const STATES = 10;
const SECTOR = 512;
/** Of a run of equal bytes: long ones are zeroes that nothing has touched, and qemu-io has its limit. */
const READ_MAX_BYTES = 1 << 26;
/** The folder that states are written to, in that of the scenario. */
const STATE = 'state';

const folder = useEmptyFolder();

/** Commands of a scenario on a disk of this length. */
function scriptOf(random: Random, lengthBytes: number, clusterBytes: number, hasDataFile: boolean): string[] {
  const sectors = Math.max(1, Math.floor(lengthBytes / SECTOR));
  const range = (): string => {
    const perCluster = clusterBytes / SECTOR;
    const isWhole = random.chance(50);
    const start = isWhole ? random.below(12) * perCluster : random.below(Math.min(sectors, perCluster * 12));
    const first = Math.min(start, sectors - 1);
    const count = isWhole ? random.between(1, 2) * perCluster : random.between(1, perCluster + 8);
    return `${first * SECTOR} ${Math.min(count, sectors - first) * SECTOR}`;
  };
  const packed = (): string => {
    const first = random.below(Math.max(1, Math.floor(lengthBytes / clusterBytes))) * clusterBytes;
    return `write -c -P ${random.below(256)} ${first} ${Math.min(clusterBytes, lengthBytes - first)}`;
  };
  const lines: string[] = [];
  for (let count = random.between(3, 9); count > 0; count--) {
    const value = random.below(256);
    lines.push(
      random.pick([
        () => `write -P ${value} ${range()}`,
        () => `write -P ${value} ${range()}`,
        () => `aio_write -P ${value} ${range()}`,
        () => `write -z ${random.chance(50) ? '-u ' : ''}${range()}`,
        () => `discard ${range()}`,
        () => 'flush',
        () => 'flush',
        () => (hasDataFile ? 'flush' : packed()),
      ])(),
    );
    if (lines.at(-1)?.startsWith('aio_') === true && random.chance(60)) lines.push('aio_flush');
  }
  return lines;
}

interface Held {
  readonly offset: number;
  readonly bytes: number;
  /** Null where the bytes are not all the same. */
  readonly value: number | null;
}

/** A model that takes everything, and keeps what it is shown, in runs of one byte value. */
class Listener extends DiskModel {
  readonly runs: Held[] = [];

  constructor() {
    super(Number.MAX_SAFE_INTEGER, { kind: 'anything' });
  }

  override compare(offset: number, data: Buffer | null, bytes: number): null {
    if (data === null) this.#add(offset, bytes, 0);
    for (let at = 0; data !== null && at < bytes; at += SECTOR) {
      const sector = data.subarray(at, at + SECTOR);
      const [first = 0] = sector;
      this.#add(offset + at, sector.length, isFilledWith(sector, first) ? first : null);
    }
    return null;
  }

  #add(offset: number, bytes: number, value: number | null): void {
    const last = this.runs.at(-1);
    if (last?.value === value) this.runs.splice(-1, 1, { ...last, bytes: last.bytes + bytes });
    else this.runs.push({ offset, bytes, value });
  }
}

function save(disks: Disks): void {
  for (const { path: file, content } of disks.all) {
    const data = Buffer.alloc(content.lengthBytes);
    content.read(0, data);
    // Not over the files of the scenario, which its world reads from.
    writeFileSync(path.join(STATE, file), data);
  }
}

/** The verdict of QEMU on the files as they are: differences from ours, empty if there are none. */
function askQemu(after: Aftermath, runs: readonly Held[]): string {
  const reads = runs.filter(({ value }) => value !== null).slice(0, 300);
  const commands = reads.flatMap(({ offset, bytes, value }) => [
    '-c',
    `read -P ${value} ${offset} ${Math.min(bytes, READ_MAX_BYTES)}`,
  ]);
  const run = (program: string, words: readonly string[]) =>
    spawnSync(program, words, { cwd: STATE, encoding: 'utf8', maxBuffer: 2 ** 28 });
  const io = run('qemu-io', ['-f', 'qcow2', ...commands, 'disk.img']);
  const failed = io.stdout.split('\n').filter((line) => /failed|error/i.test(line));
  if (after.failure !== null) return io.status === 0 && failed.length === 0 ? `ours fails: ${after.failure}` : '';
  if (io.status !== 0 || failed.length > 0) return `qemu-io: ${io.status} ${io.stderr} ${failed.join('\n')}`;
  const check = run('qemu-img', ['check', '-f', 'qcow2', '--output=json', 'disk.img']);
  const found = JSON.parse(check.stdout) as Record<string, number>;
  const theirs = [found['corruptions'] ?? 0, found['leaks'] ?? 0, found['check-errors']];
  const ours = [after.check?.corruptions, after.check?.leaks, after.check?.checkErrors];
  return theirs.join() === ours.join() ? '' : `corruptions, leaks, check errors: ${theirs.join()}, ours ${ours.join()}`;
}

it(`${cases} states after a loss of power are what QEMU says they are, seed ${seed}`, async () => {
  process.chdir(folder);
  mkdirSync(STATE);
  const verdicts = new Map<string, number>();
  const differences: string[] = [];
  for (let scenario = 0, done = 0; done < cases; scenario++) {
    const random = new Random(`${seed} crash ${scenario}`);
    const files = makeQcow2(random);
    for (const { name, data } of files) writeFileSync(name, data);
    const disk = files[0]?.data ?? Buffer.alloc(0);
    const hasDataFile = files.some(({ name }) => name === 'data.raw');
    const lines = scriptOf(random, Number(disk.readBigUInt64BE(24)), 2 ** disk.readUInt32BE(20), hasDataFile);
    const words = 'driver=qcow2,file.driver=file,file.filename=disk.img';
    const world = worldOf(scenarioOf(words, lines, random.chance(20)));
    const options = {
      seed: 1,
      casesMax: Number.MAX_SAFE_INTEGER,
      own: new Map(random.chance(30) ? [['torn', '']] : []),
    };
    const units = await crash.prepare(world, await readBaseline(world), options);
    for (let count = 0; count < STATES && done < cases; count++, done++) {
      const [outcome] = await units.run(random.below(units.count), () => false);
      if (outcome === undefined) throw new Error('a state without an outcome');
      verdicts.set(outcome.verdict, (verdicts.get(outcome.verdict) ?? 0) + 1);
      const look = async (recipe: Json): Promise<{ after: Aftermath; runs: readonly Held[] }> => {
        const model = new Listener();
        const disks = units.disksOf(recipe);
        save(disks);
        const after = await lookAfter(world, disks, { model, isFlushed: false });
        disks.release();
        return { after, runs: model.runs };
      };
      const { after, runs } = await look(outcome.recipe);
      const difference = askQemu(after, runs);
      if (difference === '') continue;
      const which = `SEED=${seed}, scenario ${scenario} (${lines.join('; ')}), ${outcome.title}`;
      differences.push(`${which}: ${outcome.verdict}\n${difference}`);
    }
    world.close();
  }
  console.log(JSON.stringify(Object.fromEntries([...verdicts].sort(([a], [b]) => (a < b ? -1 : 1)))));
  expect(differences.slice(0, 10).join('\n\n'), `${differences.length} differences`).toBe('');
});
