/** Whose events are compared with the real program's: images of every geometry, and requests on them. */
import type { ImageSettings } from './make-image.ts';

export interface EventCase {
  readonly name: string;
  readonly image?: ImageSettings;
  readonly backing?: boolean;
  /** Requests before an internal snapshot is taken; without them there is none. */
  readonly beforeSnapshot?: readonly string[];
  readonly dataFile?: boolean;
  /** Options of qcow2. */
  readonly options?: Record<string, string>;
  /** Options of blkdebug. */
  readonly debug?: Record<string, string>;
  /** Writes are not flushed one by one. */
  readonly writeback?: boolean;
  readonly setup?: readonly string[];
  readonly requests: readonly string[];
}

export const DISK_BYTES = 8 << 20;
export const BACKING_BYTES = 4 << 20;
/**
 * Left alone by all requests that are counted: a sector in it is data, and reading it says in which state blkdebug is.
 */
export const PROBE_OFFSET = 3 << 20;

const KiB = 1024;
const MiB = 1024 * KiB;

const geometries: readonly (readonly [string, ImageSettings])[] = [
  ['64 KiB clusters', {}],
  ['version 2', { version: 2 }],
  ['512-byte clusters', { clusterBits: 9 }],
  ['512-byte clusters, 64-bit refcounts', { clusterBits: 9, refcountOrder: 6 }],
  ['2 MiB clusters, subclusters', { clusterBits: 21, extendedL2: true }],
  ['16 KiB clusters, subclusters', { clusterBits: 14, extendedL2: true }],
  ['lazy refcounts', { lazyRefcounts: true }],
];

type Script = readonly [name: string, setup: readonly string[], requests: readonly string[]];

/** Requests of one piece each: with several pieces under way the real program's order is not the same in each run. */
const scripts: readonly Script[] = [
  ['first write and overwrite', [], ['write 0 4096', 'write 0 4096', 'read 0 4096']],
  ['write in a gap', ['write 0 1024'], ['write 4096 512', 'read 4096 512', 'write 2097152 512']],
  ['unaligned', ['write 65536 512'], ['write 65600 100', 'write 131000 20', 'read 65537 7']],
  ['zero and unmap', ['write 0 512', 'write 65536 512'], ['write -z 0 512', 'write -z -u 65536 512', 'write 0 512']],
  ['whole clusters zeroed', ['write 2097152 2048'], ['write -z 2097152 2097152', 'write -z -u 2097152 2097152']],
];

const cases: EventCase[] = [];
for (const [geometry, image] of geometries) {
  for (const [script, setup, requests] of scripts) {
    cases.push({ name: `${script}; ${geometry}`, image, setup, requests });
    cases.push({ name: `${script}; ${geometry}; over a backing file`, image, backing: true, setup, requests });
  }
}
for (const debug of [
  { align: '4096' },
  { 'max-transfer': '4096' },
  { 'opt-write-zero': '4096' },
  { 'max-write-zero': '8192' },
  { 'opt-discard': '65536', 'max-discard': '65536' },
] as const) {
  for (const [script, setup, requests] of [...scripts.slice(0, 3), ...scripts.slice(3, 4)]) {
    cases.push({ name: `${script}; ${JSON.stringify(debug)}`, debug, setup, requests });
  }
}
for (const refcountOrder of [0, 1, 2, 3, 5]) {
  const image = { clusterBits: 12, refcountOrder };
  const [script, setup, requests] = scripts[0] as Script;
  cases.push({ name: `${script}; ${2 ** refcountOrder}-bit refcounts`, image, setup, requests });
}
for (const clusterBits of [9, 12, 16]) {
  cases.push({
    name: `after a snapshot; ${2 ** clusterBits}-byte clusters`,
    image: { clusterBits },
    beforeSnapshot: ['write 0 512', 'write 65536 512', 'write 2097152 2048'],
    requests: ['write 0 512', 'write 65600 100', 'write -z -u 2097152 65536', 'write 65536 512', 'read 2097152 512'],
  });
}
for (const [script, setup, requests] of scripts) {
  cases.push({ name: `${script}; external data file`, dataFile: true, setup, requests });
}
const far = [0, 1, 2, 3].map((table) => `write ${table * 256 * KiB + 512} 512`);
cases.push({
  name: 'small caches; 512-byte clusters',
  image: { clusterBits: 9 },
  options: { 'l2-cache-size': '1024', 'refcount-cache-size': '2048' },
  requests: [...far, ...far, 'read 512 512', 'read 786944 512'],
});
cases.push({
  name: 'small slices; 4 KiB clusters',
  image: { clusterBits: 12 },
  options: { 'l2-cache-size': '1024', 'l2-cache-entry-size': '512' },
  requests: [...far, ...far],
});
// One cluster of 64-bit refcount table entries counts 2 MiB in clusters of 512 bytes.
cases.push({
  name: 'a longer refcount table; 512-byte clusters, 64-bit refcounts',
  image: { clusterBits: 9, refcountOrder: 6 },
  setup: ['write 0 1900544', 'write 1900544 98304'],
  requests: [0, 1, 2, 3, 4, 5, 6, 7].map((part) => `write ${2 * MiB + part * 8192} 8192`),
});
// Everything from here on is synchronous in qemu-io; see `countedEvents`.
for (const [geometry, image] of geometries) {
  const clusterBytes = 1 << (image.clusterBits ?? 16);
  if (clusterBytes > 64 * KiB) continue;
  for (const backing of [false, true]) {
    const over = backing ? '; over a backing file' : '';
    const add = (name: string, rest: Pick<EventCase, 'setup' | 'requests' | 'writeback'>): void => {
      cases.push({ name: `${name}; ${geometry}${over}`, image, backing, ...rest });
    };
    add('compressed', {
      requests: [
        `write -c 0 ${clusterBytes}`,
        `write -c ${clusterBytes} ${clusterBytes}`,
        `read -q 10 20`,
        `write -q 100 100`,
        `discard ${clusterBytes} ${clusterBytes}`,
      ],
    });
    const few = 4 * clusterBytes;
    add('discarded', {
      setup: [`write 0 ${few}`, `write 2097152 ${clusterBytes}`],
      requests: [`discard ${few / 2} ${few / 2}`, 'discard 2097152 256', `discard 0 ${16 * clusterBytes}`, 'flush'],
    });
    if (!backing) {
      add('VM state', { requests: ['write -b 0 4096', 'write -b 0 512', 'read -b 0 4096'] });
    }
  }
  cases.push({
    name: `written back by a flush; ${geometry}`,
    image,
    writeback: true,
    setup: ['write 0 4096', 'write 2097152 512'],
    requests: ['flush', 'write -q 65536 512', 'discard 0 65536', 'flush', 'flush'],
  });
  cases.push({
    name: `other lengths; ${geometry}`,
    image,
    setup: ['write 0 512', `write 8323072 ${Math.min(4 * clusterBytes, 64 * KiB)}`],
    requests: ['truncate 8388608', 'truncate 8389120', 'truncate 8323072', 'truncate 67108864'],
  });
}

export const eventCases: readonly EventCase[] = cases;
