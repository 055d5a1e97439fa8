/**
 * The events of requests, in order, are those of qemu-io 7.2.22: recorded in `events.golden.txt` from the real program,
 * with breakpoints on every event (`RECORD=1 npx vitest run --config test/vitest.config.ts test/drivers/qcow2/events`).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BlockBackend } from '../../../src/block/backend.ts';
import type { Pending } from '../../../src/block/driver.ts';
import { Req } from '../../../src/block/flags.ts';
import { eventSequence } from '../../helpers/event-sequence.ts';
import type { ImageSettings } from './make-image.ts';
import { Qcow2Host } from './qcow2-host.ts';

const golden = path.join(import.meta.dirname, 'events.golden.txt');
const isRecording = process.env.RECORD === '1';
const recorded = new Map<string, string>();

let host: Qcow2Host;
beforeEach(() => {
  host = new Qcow2Host();
});
afterEach(() => host.remove());
afterAll(() => {
  if (!isRecording) return;
  writeFileSync(golden, [...recorded].map(([name, text]) => `## ${name}\n${text}\n`).join('\n'));
});

function goldenOf(name: string): string {
  const text = readFileSync(golden, 'utf8').split(/^## /m);
  const found = text.find((part) => part.startsWith(`${name}\n`));
  if (found === undefined) throw new Error(`nothing recorded for ${name}`);
  return found.slice(name.length + 1).trimEnd();
}

interface Case {
  readonly name: string;
  readonly image?: ImageSettings;
  readonly backing?: boolean;
  /** Options of blkdebug. */
  readonly debug?: Record<string, string>;
  readonly setup?: readonly string[];
  readonly requests: readonly string[];
}

const geometries: readonly (readonly [string, ImageSettings])[] = [
  ['64 KiB clusters', {}],
  ['version 2', { version: 2 }],
  ['512-byte clusters', { clusterBits: 9 }],
  ['512-byte clusters, 64-bit refcounts', { clusterBits: 9, refcountOrder: 6 }],
  ['2 MiB clusters, subclusters', { clusterBits: 21, extendedL2: true }],
  ['16 KiB clusters, subclusters', { clusterBits: 14, extendedL2: true }],
  ['lazy refcounts', { lazyRefcounts: true }],
];

/** Requests of one piece each: with several pieces under way the real program's order is not the same in each run. */
const scripts: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['first write and overwrite', [], ['write 0 4096', 'write 0 4096', 'read 0 4096']],
  ['write in a gap', ['write 0 1024'], ['write 4096 512', 'read 4096 512', 'write 2097152 512']],
  ['unaligned', ['write 65536 512'], ['write 65600 100', 'write 131000 20', 'read 65537 7']],
  ['zero and unmap', ['write 0 512', 'write 65536 512'], ['write -z 0 512', 'write -z -u 65536 512', 'write 0 512']],
  ['whole clusters zeroed', ['write 2097152 2048'], ['write -z 2097152 2097152', 'write -z -u 2097152 2097152']],
];

const cases: Case[] = [];
for (const [geometry, image] of geometries) {
  for (const [script, setup, requests] of scripts) {
    cases.push({ name: `${script}; ${geometry}`, image, setup, requests });
    cases.push({ name: `${script}; ${geometry}; over a backing file`, image, backing: true, setup, requests });
  }
}
for (const debug of [{ align: '4096' }, { 'max-transfer': '4096' }, { 'opt-write-zero': '4096' }] as const) {
  for (const [script, setup, requests] of scripts.slice(0, 3)) {
    cases.push({ name: `${script}; ${JSON.stringify(debug)}`, debug, setup, requests });
  }
}

const SIZE = 8 << 20;

function prepare({ image = {}, backing = false }: Case): void {
  host.file('base', 4 << 20, [0, 4 << 20, 7]);
  const over = backing ? { backing: { filename: host.path('base'), format: 'raw' } } : {};
  host.image('x', { lengthBytes: SIZE, ...image, ...over });
}

/** Runs one request of a script on our side. */
function request(image: BlockBackend, line: string): Pending {
  const words = line.split(' ');
  const [offset = 0, bytes = 0] = words.slice(-2).map(Number);
  if (words[0] === 'read') return image.pread(offset, Buffer.alloc(bytes));
  if (!words.includes('-z')) return image.pwrite(offset, Buffer.alloc(bytes, 0xcd), 0);
  return image.pwriteZeroes(offset, bytes, words.includes('-u') ? Req.MAY_UNMAP : 0);
}

async function ours(one: Case): Promise<string> {
  const image = await host.openDebug('x', one.debug);
  image.writeCacheEnabled = false;
  for (const line of one.setup ?? []) expect(await host.errno(() => request(image, line))).toBe(0);
  const lines: string[] = [];
  const stop = host.context.trace.subscribe((record) => {
    if (record.kind === 'event' && record.node === 'debug') lines.push(`  ${record.event}`);
  });
  for (const line of one.requests) {
    lines.push(line);
    expect(await host.errno(() => request(image, line))).toBe(0);
  }
  stop();
  return lines.join('\n');
}

async function theirs({ debug = {}, setup = [], requests }: Case): Promise<string> {
  const options = Object.entries(debug).map(([key, value]) => `,file.${key}=${value}`);
  const lines = await eventSequence(
    { command: 'stdbuf', args: ['-o0', 'qemu-io'] },
    `driver=qcow2,file.driver=blkdebug,file.image.driver=file,file.image.filename=${host.path('x')}${options.join('')}`,
    setup,
    requests.map((line) => `aio_${line}`),
    host.folder,
  );
  return lines
    .filter((line) => !line.startsWith('  ='))
    .map((line) => line.replace(/^aio_/, ''))
    .join('\n');
}

describe('the events of', () => {
  it.each(cases.map((one) => [one.name, one] as const))('%s', async (name, one) => {
    prepare(one);
    if (isRecording) recorded.set(name, await theirs(one));
    else expect(await ours(one)).toBe(goldenOf(name));
  });
});
