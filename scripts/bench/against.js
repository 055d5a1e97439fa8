/**
 * `npm run bench -- --against DIR`: processor time of this tree beside that of another built tree, over four workloads.
 *
 * Measured is user and system time of the whole process, the minimum over rounds in which the two take turns: it says
 * how much a change costs on a machine that does other work too. Exits with 1 if all four together take more than
 * `LIMIT` (1.10) times as long as in the other tree.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { processorSeconds } from './measure.js';
import { allocatingWrites, idleRules, smallRequests } from './workloads.js';

const COMMANDS = 20_000;
const home = path.resolve(import.meta.dirname, '../..');

/**
 * The workloads: a script, and the arguments with an image made anew for each run.
 * @param {string} folder @param {(format: 'raw' | 'qcow2') => string} fresh
 * @returns {{ work: string, script: string, args: () => string[] }[]}
 */
function workloads(folder, fresh) {
  const small = smallRequests(folder, COMMANDS);
  const rules = idleRules(folder, 'write_aio', 20);
  const growing = () => {
    const file = path.join(folder, 'growing.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-o', 'cluster_size=16k', file, '1G']);
    return ['-f', 'qcow2', file];
  };
  return [
    { work: 'writes and reads of 4 KiB, raw', script: small, args: () => ['-f', 'raw', fresh('raw')] },
    { work: 'the same commands, qcow2', script: small, args: () => ['-f', 'qcow2', fresh('qcow2')] },
    {
      work: 'the same commands, qcow2 over blkdebug with 20 rules',
      script: small,
      args: () => ['-f', 'qcow2', `blkdebug:${rules}:${fresh('qcow2')}`],
    },
    {
      work: 'writes of 4 KiB, each to a new cluster of 16 KiB, qcow2',
      script: allocatingWrites(folder, COMMANDS),
      args: growing,
    },
  ];
}

/** The program of a built tree. @param {string} tree */
function programOf(tree) {
  return { command: process.execPath, args: [path.join(tree, 'bin/blkscope.js')] };
}

/**
 * Prints the table; true if the limit is kept.
 * @param {string} folder for scripts and images
 * @param {string} other the other tree, built
 * @param {(format: 'raw' | 'qcow2') => string} fresh makes a new image and gives its name
 * @param {number} rounds
 */
export function compareTrees(folder, other, fresh, rounds) {
  for (const tree of [home, other])
    if (!existsSync(path.join(tree, 'dist/cli/main.js'))) throw new Error(`${tree} is not built`);
  const limit = Number(process.env.LIMIT ?? 1.1);
  const works = workloads(folder, fresh).map((work) => ({ ...work, theirs: Infinity, ours: Infinity }));
  for (let round = 0; round < rounds; round++) {
    for (const work of works) {
      work.theirs = Math.min(work.theirs, processorSeconds(programOf(other), work.args(), work.script));
      work.ours = Math.min(work.ours, processorSeconds(programOf(home), work.args(), work.script));
    }
  }
  /** @param {string} work @param {number} theirs @param {number} ours */
  const row = (work, theirs, ours) =>
    console.log(`| ${work} | ${theirs.toFixed(3)} s | ${ours.toFixed(3)} s | ${(ours / theirs).toFixed(3)} |`);
  console.log(`| ${COMMANDS.toLocaleString('en')} | ${other} | this tree | ratio |\n| --- | --- | --- | --- |`);
  for (const { work, theirs, ours } of works) row(work, theirs, ours);
  const theirs = works.reduce((sum, work) => sum + work.theirs, 0);
  const ours = works.reduce((sum, work) => sum + work.ours, 0);
  row(`all four, at most ${limit}`, theirs, ours);
  return ours / theirs <= limit;
}
