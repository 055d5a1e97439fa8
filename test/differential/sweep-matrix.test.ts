/**
 * The sweep over the workloads of the error matrix beside the real qemu-io: for the first of each event × errno × once
 * and always, the case in its world says the same, leaves the same files, and has the verdict of `qemu-img check`.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { parseSearchWords } from '../../src/cli/search/search-words.ts';
import { prepareLines } from '../../src/cli/search/prepare-search.ts';
import { drivers } from '../../src/drivers/index.ts';
import { Case } from '../../src/search/case.ts';
import { type Injection, Injector } from '../../src/search/injector.ts';
import type { Outcome, Units } from '../../src/search/strategy.ts';
import { sweep } from '../../src/search/sweep.ts';
import { World } from '../../src/search/world.ts';
import { commandTable } from '../../src/shell/commands/index.ts';
import { Errno } from '../../src/util/errno.ts';
import { normalise } from '../helpers/normalise.ts';
import { qemuIo, runProgram } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';
import { makeWorkloadFiles, type Workload, workloads } from './error-workloads.ts';
import { textDiff } from './text-diff.ts';

/** How often the real program, whose threads can finish in another order, is asked again where the two differ. */
const MAX_REPEATS = 5;
const parent = existsSync('/dev/shm') ? '/dev/shm' : undefined;

/** Of all workloads: every case of the sweep, and the processor time that it took in seconds. */
const total = { cases: 0, seconds: 0, compared: 0 };

/** A workload with its images, and the search over it. */
class Field {
  readonly workload: Workload;
  readonly first = new Sandbox(parent);
  readonly #graph: readonly string[];

  constructor(workload: Workload) {
    this.workload = workload;
    makeWorkloadFiles(workload, this.first.folder);
    const { options = [] } = workload;
    this.#graph = ['driver=qcow2', ...options, 'file.driver=blkdebug'];
  }

  #words(rules: readonly string[]): string[] {
    const graph = [...this.#graph, 'file.image.filename=disk.img', ...rules];
    return [...(this.workload.words ?? []), '--image-opts', graph.join(',')];
  }

  prepare(): ReturnType<typeof prepareLines> {
    const words = parseSearchWords(sweep, [...this.#words([]), 'commands']);
    return prepareLines(words, this.workload.commands, () => {});
  }

  /** The real program: what it says and leaves, and the status of the check. */
  async ask({ point, errno, once }: Injection): Promise<{ readonly text: string; readonly status: number | null }> {
    const sandbox = new Sandbox(parent);
    try {
      for (const name of readdirSync(this.first.folder)) copyFileSync(this.first.path(name), sandbox.path(name));
      const rule = { event: point.kind === 'event' ? point.event : '', errno: Errno[errno], once: once ? 'on' : 'off' };
      const rules = Object.entries(rule).map(([key, value]) => `file.inject-error.0.${key}=${value}`);
      const commands = this.workload.commands.flatMap((line) => ['-c', line]);
      const ended = await runProgram(qemuIo, [...this.#words(rules), ...commands], {
        cwd: sandbox.folder,
      });
      const files = readdirSync(sandbox.folder)
        .sort()
        .map((name) => readFileSync(sandbox.path(name)));
      const text = described(ended.stdout, ended.stderr, ended.exit, sandbox.folder, files);
      // Opening repairs an image that was left dirty, as the search does it.
      if (this.workload.name === 'lazy refcounts') spawnSync(qemuIo.command, ['-c', 'quit', sandbox.path('disk.img')]);
      const { status } = spawnSync('qemu-img', ['check', '-f', 'qcow2', sandbox.path('disk.img')]);
      return { text, status };
    } finally {
      sandbox.remove();
    }
  }
}

function described(stdout: string, stderr: string, exit: string, folder: string, files: readonly Buffer[]): string {
  const sums = files.map((bytes) => `${bytes.length} ${Buffer.from(sumOf(bytes)).toString('hex')}`);
  const text = [`exit ${exit}`, '--- stdout', stdout, '--- stderr', stderr, '--- files', ...sums].join('\n');
  return normalise(text, folder);
}

/** A sum of some bytes that is fast and good enough: positions count. */
function sumOf(bytes: Buffer): Uint8Array {
  let sum = 0n;
  const padded = bytes.length % 8 === 0 ? bytes : Buffer.concat([bytes], bytes.length + 8 - (bytes.length % 8));
  for (let at = 0; at < padded.length; at += 8) {
    const word = padded.readBigUInt64LE(at);
    if (word !== 0n) sum = BigInt.asUintN(64, sum * 31n + word * BigInt(at + 1));
  }
  const result = Buffer.alloc(8);
  result.writeBigUInt64LE(BigInt.asUintN(64, sum));
  return result;
}

/** The case in its world. */
async function inWorld(
  world: World,
  injection: Injection,
  field: Field,
): Promise<{ text: string; failsRead: boolean }> {
  let running: Case | null = null;
  const injector = new Injector([injection], () => running as Case);
  running = new Case(world, injector.hooks);
  const { transcript, disks, exitStatus, journal } = await running.run();
  const contents = new Map(
    disks.all.map(({ path, content }) => {
      const bytes = Buffer.alloc(content.lengthBytes);
      content.read(0, bytes);
      return [path, bytes];
    }),
  );
  disks.release();
  const files = readdirSync(field.first.folder)
    .sort()
    .map((name) => contents.get(name) ?? readFileSync(field.first.path(name)));
  const failsRead = journal.some((entry) => entry.kind === 'injected' && entry.text === 'an error for a read');
  const text = described(transcript.stdout, transcript.stderr, String(exitStatus), field.first.folder, files);
  return { text, failsRead };
}

/** Whether the verdict of a search is that of `qemu-img check`, as far as that goes. */
function agrees({ verdict }: Outcome, status: number | null): boolean {
  if (verdict === 'corrupt') return status === 2 || status === 1;
  if (verdict === 'leak') return status === 3;
  return verdict === 'sound' ? status === 0 : status === 0 || status === 3;
}

afterAll(() => {
  const rate = Math.round((total.cases / total.seconds) * 60);
  console.log(`${total.cases} cases, ${rate} a minute and processor; ${total.compared} beside qemu-io`);
});

it.each(workloads.map((workload) => [workload.name, workload] as const))('%s', async (_name, workload) => {
  const field = new Field(workload);
  // The names in images are those of files beside them.
  process.chdir(field.first.folder);
  const { scenario, units } = await field.prepare();
  const world = new World(scenario, { drivers, commands: commandTable });
  const outcomes = await sweepAll(units);
  const differences: string[] = [];
  for (const outcome of outcomes) {
    const [injection] = outcome.recipe as unknown as readonly Injection[];
    if (injection?.point.kind !== 'event' || injection.point.nth > 1) continue;
    const { text, failsRead } = await inWorld(world, injection, field);
    // QEMU goes on when it cannot read what a write leaves alone, and writes back what its memory happens to hold.
    if (workload.rule !== undefined && failsRead) continue;
    total.compared += 1;
    let answer = await field.ask(injection);
    for (let repeat = 0; repeat < MAX_REPEATS && answer.text !== text; repeat++) answer = await field.ask(injection);
    if (answer.text !== text) differences.push(`${outcome.title}\n${textDiff('qemu-io', 'world', answer.text, text)}`);
    else if (!agrees(outcome, answer.status)) {
      differences.push(`${outcome.title}: ${outcome.verdict}, but qemu-img check ends with ${answer.status}`);
    }
  }
  world.close();
  process.chdir('/');
  field.first.remove();
  expect(differences.join('\n\n')).toBe('');
});

/** Every case of the sweep, of the first and of later events, and of requests. */
async function sweepAll(units: Units): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const before = process.cpuUsage();
  for (let unit = 0; unit < units.count; unit++) outcomes.push(...(await units.run(unit, () => false)));
  const { user, system } = process.cpuUsage(before);
  total.cases += outcomes.length;
  total.seconds += (user + system) / 1e6;
  return outcomes;
}
