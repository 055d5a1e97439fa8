/** Scripts that between them reach every event of qcow2 that qemu-io can reach, each on an image of its own. */
import { execFileSync } from 'node:child_process';

export interface Workload {
  readonly name: string;
  /** Words for `qemu-img` that make `disk.img`, and perhaps others. */
  readonly files: readonly (readonly string[])[];
  /** Scripts that are run on `disk.img` before. */
  readonly before: readonly (readonly string[])[];
  /** Words for `qemu-img` after that. */
  readonly afterwards?: readonly (readonly string[])[];
  /** Options of the image: of qcow2, and of blkdebug with `file.` before them. */
  readonly options?: readonly string[];
  /** Further words of the command line. */
  readonly words?: readonly string[];
  /** Attributes of the rule besides event, errno and once. */
  readonly rule?: Readonly<Record<string, string>>;
  /** Run with the error. */
  readonly commands: readonly string[];
}

/** Makes the images of a workload in a folder. */
export function makeWorkloadFiles({ files, before, afterwards = [] }: Workload, cwd: string): void {
  const run = (command: string, args: readonly string[]): void => {
    execFileSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
  };
  for (const words of files) run('qemu-img', words);
  for (const lines of before) {
    run('qemu-io', ['-f', 'qcow2', '-t', 'unsafe', 'disk.img', ...lines.flatMap((line) => ['-c', line])]);
  }
  for (const words of afterwards) run('qemu-img', words);
}

function create(options: string, bytes: string, ...backing: readonly string[]): readonly string[] {
  const over = backing.flatMap((name) => ['-b', name, '-F', 'raw']);
  return ['create', '-q', '-f', 'qcow2', ...(options === '' ? [] : ['-o', options]), ...over, 'disk.img', bytes];
}

const rawBase = ['create', '-q', '-f', 'raw', 'base.raw', '4M'];
const small = 'cluster_size=512';

export const workloads: readonly Workload[] = [
  {
    name: 'plain writes',
    files: [create('', '8M')],
    before: [],
    commands: ['write -P 1 0 64k', 'write -P 2 0 64k', 'write -P 3 64k 128k', 'read -P 2 0 64k', 'flush'],
  },
  {
    name: 'plain writes, version 2',
    files: [create('compat=0.10', '8M')],
    before: [],
    commands: ['write -P 1 0 64k', 'write -P 2 32k 64k', 'read -P 2 32k 64k', 'write -z 0 64k', 'flush'],
  },
  {
    name: 'plain writes, written back by a flush',
    files: [create(small, '1M')],
    before: [],
    words: ['-t', 'writeback'],
    commands: ['write -P 1 0 512', 'write -P 2 64k 512', 'flush', 'write -P 3 128k 1k', 'flush', 'read -P 3 128k 1k'],
  },
  {
    name: 'a write in a gap, and parts of clusters',
    files: [create('', '8M')],
    before: [['write -P 1 0 1k', 'write -P 2 128k 512']],
    commands: ['write -P 3 4k 4k', 'write -P 4 65000 1000', 'write -P 5 130k 100', 'read -P 3 4k 4k', 'flush'],
  },
  {
    name: 'parts of clusters over a backing file',
    files: [rawBase, create('cluster_size=4k', '4M', 'base.raw')],
    before: [],
    commands: ['write -P 3 1000 100', 'write -P 4 4000 5000', 'read -P 3 1000 100', 'read 16k 4k', 'flush'],
  },
  {
    name: 'compressed clusters',
    files: [create('', '8M')],
    before: [['write -c -P 9 1M 64k']],
    commands: [
      'write -c -P 1 0 64k',
      'write -c -P 2 64k 64k',
      'read -P 9 1M 64k',
      'write -P 3 100 100',
      'write -P 4 1M 512',
      'discard 64k 64k',
      'flush',
    ],
  },
  {
    name: 'discards',
    files: [create('cluster_size=4k', '8M')],
    before: [['write -P 1 0 32k', 'write -P 2 2M 8k']],
    words: ['-d', 'unmap'],
    commands: ['discard 0 8k', 'discard 2M 1k', 'discard 1M 2M', 'write -P 3 0 4k', 'read -P 3 0 4k', 'flush'],
  },
  {
    name: 'zero writes',
    files: [create('cluster_size=4k', '8M')],
    before: [['write -P 1 0 64k', 'write -P 2 2M 8k']],
    words: ['-d', 'unmap'],
    commands: [
      'write -z 0 4k',
      'write -z -u 8k 8k',
      'write -z 17000 6000',
      'write -P 3 0 512',
      'write -z 4M 8k',
      'flush',
    ],
  },
  {
    name: 'a longer L1 table',
    files: [create(small, '1M')],
    before: [['write -P 1 0 1k']],
    commands: ['truncate 32M', 'write -P 2 31M 1k', 'write -b -P 3 0 1k', 'read -b -P 3 0 1k', 'flush'],
  },
  {
    name: 'a shorter disk',
    files: [create(small, '1M')],
    before: [['write -P 1 0 1k', 'write -P 2 900k 2k']],
    commands: ['truncate 512k', 'truncate 700k', 'write -P 3 600k 512', 'flush'],
  },
  {
    name: 'a longer refcount table',
    files: [create(`${small},refcount_bits=64`, '8M')],
    before: [['write -P 1 0 1900544', 'write -P 2 1900544 98304']],
    commands: [2, 3, 4, 5].map((value, part) => `write -P ${value} ${2 * 2 ** 20 + part * 16384} 16k`),
  },
  {
    name: 'a new refcount block',
    files: [create('cluster_size=4k,refcount_bits=64', '8M')],
    before: [['write -P 1 0 1996k']],
    commands: ['write -P 2 1996k 12k', 'write -P 3 4M 8k', 'write -P 4 4104k 16k', 'read -P 4 4104k 16k'],
  },
  {
    name: 'a file with larger sectors',
    files: [create(small, '1M')],
    before: [['write -P 1 0 4k']],
    options: ['file.align=4096'],
    // QEMU goes on when it cannot read what a write leaves alone, and writes back what its memory happens to hold.
    rule: { iotype: 'write' },
    commands: ['write -P 2 512 1k', 'write -P 3 10000 100', 'read -P 3 10000 100', 'flush'],
  },
  {
    name: 'after a snapshot',
    files: [create('cluster_size=4k', '8M')],
    before: [['write -P 1 0 16k', 'write -P 2 2M 8k']],
    afterwards: [['snapshot', '-c', 'one', 'disk.img']],
    commands: ['write -P 3 0 4k', 'write -P 4 5000 100', 'write -z -u 8k 4k', 'discard 2M 4k', 'flush'],
  },
  {
    name: 'subclusters',
    files: [create('extended_l2=on,cluster_size=16k', '8M')],
    before: [['write -P 1 0 1k', 'write -P 2 64k 16k']],
    commands: ['write -P 3 600 100', 'write -z 64k 1k', 'write -P 4 70k 300', 'write -P 5 1M 40k', 'read -P 5 1M 40k'],
  },
  {
    name: 'lazy refcounts',
    files: [create('lazy_refcounts=on', '8M')],
    before: [],
    commands: ['write -P 1 0 64k', 'write -P 2 100k 1k', 'read -P 1 0 64k', 'flush'],
  },
  {
    name: 'an external data file',
    files: [create('data_file=data.raw', '8M')],
    before: [['write -P 1 0 64k']],
    commands: ['write -P 2 1k 1k', 'write -P 3 1M 1k', 'write -z -u 0 64k', 'read -P 3 1M 1k', 'flush'],
  },
  {
    name: 'small caches',
    files: [create(small, '2M')],
    before: [],
    options: ['l2-cache-size=1024', 'refcount-cache-size=2048'],
    words: ['-t', 'writeback'],
    commands: [0, 1, 2, 3].map((table) => `write -P ${table + 1} ${table * 256}k 1k`).concat('read -P 1 0 1k', 'flush'),
  },
  {
    name: 'copies on read',
    files: [rawBase, create('cluster_size=4k', '4M', 'base.raw')],
    before: [],
    words: ['-C'],
    commands: ['read 0 4k', 'read 10000 100', 'write -P 1 0 512', 'flush'],
  },
];
