/**
 * The events of requests, in order, are those of qemu-io 7.2.22: recorded in `events/`, a file for each case, from the
 * real program, with breakpoints on every event or, for synchronous commands, by counting
 * (`RECORD=1 npx vitest run --config test/vitest.config.ts test/drivers/qcow2/events`).
 */
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BlockBackend } from '../../../src/block/backend.ts';
import type { Pending } from '../../../src/util/steps.ts';
import { Req } from '../../../src/block/flags.ts';
import { eventSequence } from '../../helpers/event-sequence.ts';
import { addSnapshot } from './add-snapshot.ts';
import { countedEvents } from './counted-events.ts';
import { BACKING_BYTES, DISK_BYTES, type EventCase, eventCases, PROBE_OFFSET } from './event-cases.ts';
import { Qcow2Host } from './qcow2-host.ts';

const goldens = path.join(import.meta.dirname, 'events');
const isRecording = process.env.RECORD === '1';
const GOLDEN_COLUMNS = 100;

let host: Qcow2Host;
beforeEach(() => {
  host = new Qcow2Host();
});
afterEach(() => host.remove());

/** The file with the events of a case. */
function goldenOf(name: string): string {
  return path.join(goldens, `${name.replaceAll(/[^A-Za-z0-9]+/g, '-').replace(/-$/, '')}.events`);
}

/** Requests with their events, a line each, as a golden file has them: the events in lines of some length. */
function asGolden(lines: readonly string[]): string {
  let text = '';
  let column = 0;
  for (const line of lines) {
    if (!line.startsWith('  ')) {
      text += `${text === '' ? '' : '\n'}${line}`;
      column = GOLDEN_COLUMNS;
      continue;
    }
    const event = line.trim();
    if (column + event.length + 1 > GOLDEN_COLUMNS) {
      text += '\n ';
      column = 1;
    }
    text += ` ${event}`;
    column += event.length + 1;
  }
  return `${text}\n`;
}

async function prepare({ image = {}, backing, beforeSnapshot, dataFile }: EventCase): Promise<void> {
  host.file('base', BACKING_BYTES, [0, BACKING_BYTES, 7]);
  if (dataFile === true) host.file('data', DISK_BYTES);
  const over = backing === true ? { backing: { filename: host.path('base'), format: 'raw' } } : {};
  host.image('x', { lengthBytes: DISK_BYTES, ...image, ...over }, (bytes) => {
    if (dataFile === true) bytes.writeBigUInt64BE(4n, 72);
  });
  if (beforeSnapshot === undefined) return;
  const opened = await host.openQcow2('x');
  for (const line of beforeSnapshot) expect(await host.errno(() => request(opened, line))).toBe(0);
  await host.close(opened);
  writeFileSync(host.path('x'), addSnapshot(host.bytes('x')));
}

function formatOptions({ options = {}, dataFile }: EventCase): Record<string, string> {
  if (dataFile !== true) return options;
  return { ...options, 'data-file.driver': 'file', 'data-file.filename': host.path('data') };
}

/** Runs one request of a script on our side. */
function request(image: BlockBackend, line: string): Pending {
  const words = line.split(' ');
  const has = (flag: string): boolean => words.includes(flag);
  const numbers = words.filter((word) => /^\d+$/.test(word)).map(Number);
  const [offset = 0, bytes = 0] = numbers;
  const data = Buffer.alloc(bytes, 0xcd);
  switch (words[0]) {
    case 'read':
      return has('-b') ? image.loadVmState(offset, data) : image.pread(offset, data);
    case 'write':
      if (has('-z')) return image.pwriteZeroes(offset, bytes, has('-u') ? Req.MAY_UNMAP : 0);
      if (has('-b')) return image.saveVmState(offset, data);
      return has('-c') ? image.pwriteCompressed(offset, data) : image.pwrite(offset, data, 0);
    case 'discard':
      return image.pdiscard(offset, bytes);
    case 'truncate':
      return image.truncate(offset);
    case 'flush':
      return image.flush();
    default:
      throw new Error(`not a request: ${line}`);
  }
}

/** Whether the real program has an asynchronous form of all requests; `-q` asks for the synchronous one. */
function isAsynchronous({ requests }: EventCase): boolean {
  return requests.every((line) => /^(read|write)( -[zu])* \d/.test(line));
}

const probe = `read ${PROBE_OFFSET} 512`;

/** A counted case has a sector of data to be probed. */
function setupOf(one: EventCase): readonly string[] {
  const { setup = [] } = one;
  return isAsynchronous(one) ? setup : [`write ${PROBE_OFFSET} 512`, ...setup];
}

async function ours(one: EventCase): Promise<string[]> {
  const image = await host.openDebug('x', one.debug, formatOptions(one));
  image.writeCacheEnabled = one.writeback === true;
  for (const line of setupOf(one)) expect(await host.errno(() => request(image, line)), line).toBe(0);
  const lines: string[] = [];
  const stop = host.context.trace.subscribe((record) => {
    if (record.kind === 'event' && record.node === 'debug') lines.push(`  ${record.event}`);
  });
  for (const line of one.requests) {
    lines.push(line);
    expect(await host.errno(() => request(image, line)), line).toBe(0);
    if (isAsynchronous(one)) continue;
    expect(await host.errno(() => request(image, probe))).toBe(0);
    // As counted: up to where the probe reads its data.
    expect(lines.pop()).toBe('  read_aio');
  }
  stop();
  return lines;
}

async function theirs(one: EventCase): Promise<string[]> {
  const options = Object.entries(formatOptions(one)).map(([key, value]) => `,${key}=${value}`);
  const debug = Object.entries(one.debug ?? {}).map(([key, value]) => `,file.${key}=${value}`);
  const imageOptions =
    `driver=qcow2${options.join('')},file.driver=blkdebug,file.image.driver=file,` +
    `file.image.filename=${host.path('x')}${debug.join('')}`;
  if (!isAsynchronous(one)) return counted(one, `${imageOptions},file.config=events.conf`);
  const lines = await eventSequence(
    { command: 'stdbuf', args: ['-o0', 'qemu-io'] },
    imageOptions,
    setupOf(one),
    one.requests.map((line) => `aio_${line}`),
    host.folder,
  );
  return lines.filter((line) => !line.startsWith('  =')).map((line) => line.replace(/^aio_/, ''));
}

async function counted(one: EventCase, imageOptions: string): Promise<string[]> {
  copyFileSync(host.path('x'), host.path('x.first'));
  const lines: string[] = [];
  const done: string[] = [...setupOf(one)];
  for (const command of one.requests) {
    const events = await countedEvents(
      { command: 'qemu-io', args: [] },
      {
        imageOptions,
        words: one.writeback === true ? ['-t', 'writeback'] : [],
        setup: done,
        command,
        probe,
        hasBacking: one.backing === true,
        folder: host.folder,
        restore: () => copyFileSync(host.path('x.first'), host.path('x')),
      },
    );
    lines.push(command, ...events.map((event) => `  ${event}`));
    done.push(command, probe);
  }
  return lines;
}

describe('the events of', () => {
  it.each(eventCases.map((one) => [one.name, one] as const))('%s', async (name, one) => {
    await prepare(one);
    const golden = goldenOf(name);
    if (isRecording) {
      writeFileSync(golden, asGolden(await theirs(one)));
      return;
    }
    expect(existsSync(golden), `${golden} is recorded`).toBe(true);
    expect(asGolden(await ours(one))).toBe(readFileSync(golden, 'utf8'));
  });
});

it('every recorded file is that of a case', () => {
  const expected = eventCases.map(({ name }) => path.basename(goldenOf(name)));
  expect(readdirSync(goldens).sort()).toEqual(expected.sort());
});
