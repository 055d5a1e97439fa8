/**
 * An error at every event that a workload reaches: qemu-io and blkscope say the same, end with the same status and
 * leave the same image, byte for byte, and with it what `qemu-img check` counts.
 *
 * Each event × errno 5 and 28 × `once` on and off × workload. Not random: every run tries the same cases.
 */
import { copyFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventNames } from '../../src/block/events/events.ts';
import { normalise } from '../helpers/normalise.ts';
import { blkscope, type Program, qemuIo, runProgram } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';
import { makeWorkloadFiles, type Workload, workloads } from './error-workloads.ts';
import { textDiff } from './text-diff.ts';

/** Cases under way at the same time. */
const LANES = 3;
/** How often the real program is asked again where the two differ. */
const MAX_REPEATS = 5;
const errnos = [5, 28];
/** In memory where there is such a file system: flushing to a disk would take longer than all the rest. */
const parent = existsSync('/dev/shm') ? '/dev/shm' : undefined;

/** Of all workloads. */
const reached = new Set<string>();

interface MatrixCase {
  readonly event: string;
  readonly errno: number;
  readonly once: 'on' | 'off';
}

/** The images of a workload as they are before it, and one folder for each program and lane. */
class Bench {
  readonly #workload: Workload;
  readonly #first = new Sandbox(parent);

  constructor(workload: Workload) {
    this.#workload = workload;
    makeWorkloadFiles(workload, this.#first.folder);
  }

  /** The output of one program and the files it left, as text. */
  async run(program: Program, { event, errno, once }: MatrixCase): Promise<string> {
    const sandbox = new Sandbox(parent);
    try {
      for (const name of readdirSync(this.#first.folder)) copyFileSync(this.#first.path(name), sandbox.path(name));
      const rule = { event, errno, once, ...this.#workload.rule };
      const rules = Object.entries(rule).map(([key, value]) => `file.inject-error.0.${key}=${value}`);
      const { stdout, stderr, exit } = await runProgram(program, this.#arguments(rules), { cwd: sandbox.folder });
      const sections = [`exit ${exit}`, '--- stdout', stdout, '--- stderr', stderr, '--- files', ...sandbox.changes()];
      return normalise(sections.join('\n'), sandbox.folder);
    } finally {
      sandbox.remove();
    }
  }

  /** Whether the real program, whose threads can finish in another order, says the same when it is asked again. */
  async everSays(text: string, one: MatrixCase): Promise<boolean> {
    for (let repeat = 0; repeat < MAX_REPEATS; repeat++) if ((await this.run(qemuIo, one)) === text) return true;
    return false;
  }

  #arguments(rules: readonly string[]): string[] {
    const { options = [], words = [], commands } = this.#workload;
    const graph = ['driver=qcow2', ...options, 'file.driver=blkdebug', 'file.image.filename=disk.img', ...rules];
    return [...words, '--image-opts', graph.join(','), ...commands.flatMap((line) => ['-c', line])];
  }

  /** The events that the workload reaches without errors. */
  async events(): Promise<string[]> {
    const sandbox = new Sandbox(parent);
    try {
      for (const name of readdirSync(this.#first.folder)) copyFileSync(this.#first.path(name), sandbox.path(name));
      const args = ['--record', 'run.ndjson', ...this.#arguments([])];
      const { stderr, exit } = await runProgram(blkscope, args, { cwd: sandbox.folder });
      expect({ stderr, exit }).toEqual({ stderr: '', exit: '0' });
      const lines = readFileSync(sandbox.path('run.ndjson'), 'utf8').trim().split('\n');
      const records = lines.map((line) => JSON.parse(line) as { kind?: string; event?: string });
      const names = records.filter(({ kind }) => kind === 'event').map(({ event }) => event ?? '');
      return [...new Set(names)].sort();
    } finally {
      sandbox.remove();
    }
  }

  remove(): void {
    this.#first.remove();
  }
}

describe.each(workloads.map((workload) => [workload.name, workload] as const))('%s', (_name, workload) => {
  let bench: Bench;
  beforeAll(() => {
    bench = new Bench(workload);
  });
  afterAll(() => bench.remove());

  it('with an error at each event', async () => {
    const cases: MatrixCase[] = [];
    for (const event of await bench.events()) {
      reached.add(event);
      for (const errno of errnos) for (const once of ['on', 'off'] as const) cases.push({ event, errno, once });
    }
    const differences: string[] = [];
    let failures = 0;
    const lane = async (first: number): Promise<void> => {
      for (let index = first; index < cases.length; index += LANES) {
        const one = cases[index] as MatrixCase;
        const expected = await bench.run(qemuIo, one);
        const actual = await bench.run(blkscope, one);
        if (/rror|failed/.test(expected)) failures++;
        if (expected === actual || (await bench.everSays(actual, one))) continue;
        differences.push(`${JSON.stringify(one)}\n${textDiff('qemu-io', 'blkscope', expected, actual)}`);
      }
    };
    await Promise.all(Array.from({ length: LANES }, (_, index) => lane(index)));
    expect(differences.join('\n\n')).toBe('');
    console.log(`${cases.length} cases, ${failures} of them with something to say`);
    // Errors that no command reports prove little.
    expect(failures).toBeGreaterThan(cases.length / 4);
  });
});

it('nothing is left out but what no step of QEMU 7.2 fires', () => {
  const never = ['reftable_update', 'refblock_update', 'empty_image_prepare'];
  expect(eventNames.filter((name) => !reached.has(name))).toEqual(never);
});
