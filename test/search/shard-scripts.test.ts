/** The ready files for engines: shards run and run again by them make the results of the whole. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { plainEnvironment } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';

const cwd = useFolder();
const root = path.resolve(import.meta.dirname, '../..');
const program = path.join(root, 'bin/blkscope.js');
const script = (name: string): string => path.join(root, 'scripts/shard', name);
const env = { ...plainEnvironment(), BLKSCOPE: program };
const words = ['sweep', 'disk.qcow2', 'script'];
let whole = '';

beforeAll(() => {
  writeFileSync(path.join(cwd, 'disk.qcow2'), makeImage({ lengthBytes: 1 << 20, clusterBits: 12 }));
  writeFileSync(path.join(cwd, 'script'), 'write -P 1 0 512\n');
  whole = spawnSync(program, [...words, '--json'], { cwd, env, encoding: 'utf8' }).stdout;
});

const run = (name: string, ...args: string[]) => spawnSync(script(name), args, { cwd, env, encoding: 'utf8' });

describe('one-shard.sh', () => {
  it('keeps whole results, once', () => {
    execFileSync('mkdir', ['results'], { cwd });
    for (const shard of ['1/2', '2/2', '1/2']) expect(run('one-shard.sh', 'results', shard, ...words).status).toBe(0);
    const files = readdirSync(path.join(cwd, 'results')).map((name) => `results/${name}`);
    expect(files).toEqual(['results/shard-1-2.ndjson', 'results/shard-2-2.ndjson']);
    expect(spawnSync(program, ['merge', ...files], { cwd, env, encoding: 'utf8' }).stdout).toBe(whole);
  });

  it('keeps nothing of a search that could not run', () => {
    execFileSync('mkdir', ['none'], { cwd });
    expect(run('one-shard.sh', 'none', '3/2', ...words).status).toBe(2);
    expect(readdirSync(path.join(cwd, 'none'))).toEqual([]);
  });
});

const hasParallel = spawnSync('parallel', ['--version'], { encoding: 'utf8' }).stdout?.startsWith('GNU') === true;

it.skipIf(!hasParallel)('parallel.sh gives the results of the whole, also when it is run again', () => {
  for (let time = 0; time < 2; time++) {
    const { stdout, status } = run('parallel.sh', 'parallel results', '3', ...words);
    expect({ stdout, status }).toEqual({ stdout: whole, status: 0 });
  }
});

it('search.sbatch runs the shard that Slurm names', () => {
  const named = {
    ...env,
    SLURM_ARRAY_TASK_ID: '2',
    SLURM_ARRAY_TASK_COUNT: '2',
    BLKSCOPE_SHARD: script('one-shard.sh'),
  };
  const args = [script('search.sbatch'), 'slurm', ...words];
  expect(spawnSync('bash', args, { cwd, env: named, encoding: 'utf8' }).status).toBe(0);
  const [header, ...lines] = readFileSync(path.join(cwd, 'slurm/shard-2-2.ndjson'), 'utf8').trimEnd().split('\n');
  expect(whole.startsWith(`${header}\n`)).toBe(true);
  expect(lines.every((line) => Number((JSON.parse(line) as { case: string }).case) % 2 === 1)).toBe(true);
});

it('the command of kubernetes.yaml runs its shard', () => {
  const yaml = readFileSync(script('kubernetes.yaml'), 'utf8');
  const command = /- \|\n([^]*?)\n {10}resources/.exec(yaml)?.[1] ?? '';
  const lines = command.replaceAll(/^ +/gm, '').replace('blkscope sweep', '"$BLKSCOPE" sweep');
  const indexed = { ...env, JOB_COMPLETION_INDEX: '7' };
  expect(spawnSync('sh', ['-c', lines], { cwd, env: indexed, encoding: 'utf8' }).status).toBe(0);
  expect(existsSync(path.join(cwd, 'results/shard-7.ndjson'))).toBe(true);
});
