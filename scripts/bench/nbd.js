/**
 * `node scripts/bench/nbd.js`: `blkscope serve` and qemu-nbd in turn, with fio's nbd engine on the same graph:
 * requests a second, and processor time of the server for a request. Exits with 1 if a target is missed.
 *
 * Needs qemu-nbd, qemu-img and fio, and a core for each side: a quiet machine, or `chrt -f 1` before it. Images lie in
 * memory (`/dev/shm`).
 * `ROUNDS=9` measures more often, `SECONDS=5` longer, `ONLY=raw` one graph.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { blkscope } from './measure.js';

const rounds = Number(process.env.ROUNDS ?? 5);
const seconds = Number(process.env.SECONDS ?? 3);
const SIZE = '256M';
/** Clock ticks a second in `/proc/PID/stat`. */
const TICKS = 100;

const folder = mkdtempSync('/dev/shm/blkscope-nbd-');

/** Graphs over a file; rules that never match, as in a session that watches. */
const rules = path.join(folder, 'rules.conf');
writeFileSync(rules, '[inject-error]\nevent = "l1_update"\nstate = "7"\nerrno = "5"\n');
/** @param {string} file */
const debugged = (file) => ({ driver: 'blkdebug', config: rules, image: { driver: 'file', filename: file } });
/** @type {Record<string, (file: string) => object>} */
const graphs = {
  raw: (file) => ({ driver: 'raw', file: debugged(file) }),
  qcow2: (file) => ({ driver: 'qcow2', file: debugged(file) }),
};

/** Work of fio, and what is asked of blkscope: times as many requests, and at most this share of the processor. */
const works = [
  { graph: 'raw', rw: 'randrw', bs: '4k', depth: 16, rate: 1.5, cpu: 0.6 },
  { graph: 'qcow2', rw: 'randrw', bs: '4k', depth: 16, rate: 1, cpu: undefined },
  { graph: 'raw', rw: 'read', bs: '1M', depth: 4, rate: 0.8, cpu: undefined },
  { graph: 'raw', rw: 'write', bs: '1M', depth: 4, rate: 0.8, cpu: undefined },
].filter(({ graph }) => (process.env.ONLY ?? graph) === graph);

/** @param {number | undefined} pid */
function processorSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/**
 * A server on an image of its own, all of it written.
 * @param {'blkscope' | 'qemu-nbd'} name @param {string} graph
 */
async function startServer(name, graph) {
  const file = path.join(folder, `${name}.${graph}`);
  const socket = path.join(folder, `${name}.sock`);
  execFileSync('qemu-img', ['create', '-q', '-f', graph, file, SIZE]);
  execFileSync('qemu-io', ['-f', graph, '-t', 'writeback', '-c', `write -q 0 ${SIZE}`, file]);
  const image = `json:${JSON.stringify(graphs[graph]?.(file))}`;
  const [command, args] =
    name === 'qemu-nbd'
      ? ['qemu-nbd', ['-k', socket, '-t', '-e', '8', '--cache=writeback', image]]
      : [blkscope.command, [...blkscope.args, 'serve', '-t', 'writeback', '--export', `unix:${socket}`, image]];
  const server = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  while (!existsSync(socket)) await sleep(10);
  return { name, server, socket };
}

/**
 * Requests a second, and microseconds of the server's processor time for each.
 * @param {Awaited<ReturnType<typeof startServer>>} target @param {(typeof works)[number]} work
 */
function measure({ server, socket }, { rw, bs, depth }) {
  const before = processorSeconds(server.pid);
  const uri = `nbd+unix:///?socket=${socket}`;
  const result = path.join(folder, 'fio.json');
  const job = ['--name=x', '--ioengine=nbd', `--uri=${uri}`, `--rw=${rw}`, `--bs=${bs}`, `--iodepth=${depth}`];
  const length = [`--size=${SIZE}`, `--runtime=${seconds}`, '--time_based'];
  execFileSync('fio', [...job, ...length, '--output-format=json', `--output=${result}`], { stdio: 'ignore' });
  const text = readFileSync(result, 'utf8');
  const [{ read, write }] = JSON.parse(text.slice(text.indexOf('{'))).jobs;
  const microseconds = (processorSeconds(server.pid) - before) * 1e6;
  return { rate: read.iops + write.iops, cpu: microseconds / (read.total_ios + write.total_ios) };
}

/** @param {readonly number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

let isMet = true;
console.log('| graph | work | qemu-nbd | blkscope | rate | target | processor time a request | target |');
console.log('| --- | --- | --- | --- | --- | --- | --- | --- |');
try {
  for (const work of works) {
    const servers = [await startServer('qemu-nbd', work.graph), await startServer('blkscope', work.graph)];
    /** @type {Record<string, { rate: number, cpu: number }[]>} */
    const measured = { 'qemu-nbd': [], blkscope: [] };
    for (const server of servers) measure(server, work);
    for (let round = 0; round < rounds; round++) {
      for (const server of servers) measured[server.name]?.push(measure(server, work));
    }
    /** @param {string} name @param {'rate' | 'cpu'} what */
    const of = (name, what) => median((measured[name] ?? []).map((one) => one[what]));
    const rate = of('blkscope', 'rate') / of('qemu-nbd', 'rate');
    // Other work on the machine only adds to it.
    /** @param {string} name */
    const least = (name) => Math.min(...(measured[name] ?? []).map(({ cpu }) => cpu));
    const cpu = least('blkscope') / least('qemu-nbd');
    isMet &&= rate >= work.rate && (work.cpu === undefined || cpu <= work.cpu);
    const times = `${least('qemu-nbd').toFixed(1)} µs, ${least('blkscope').toFixed(1)} µs: ${cpu.toFixed(2)} ×`;
    const rates = ['qemu-nbd', 'blkscope'].map((name) => `${Math.round(of(name, 'rate'))}/s`);
    const what = `${work.rw} ${work.bs}, depth ${work.depth}`;
    const targets = [`≥ ${work.rate} ×`, work.cpu === undefined ? '' : `≤ ${work.cpu} ×`];
    console.log(
      `| ${[work.graph, what, ...rates, `${rate.toFixed(2)} ×`, targets[0], times, targets[1]].join(' | ')} |`,
    );
    for (const { server } of servers) {
      server.kill();
      await once(server, 'exit');
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = isMet ? 0 : 1;
