/** Looking at metadata: what `where`, `who` and `dump` say, and that looking leaves no trace. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { inspectorOf } from '../../src/drivers/qcow2/inspect/inspector.ts';
import { whereFields } from '../../src/shell/inspect/show-way.ts';
import { changeFields } from '../../src/shell/inspect/show-changes.ts';
import { mapFields } from '../../src/shell/inspect/show-map.ts';
import { whoFields } from '../../src/shell/inspect/show-owners.ts';
import { addSnapshot } from '../drivers/qcow2/add-snapshot.ts';
import { type ImageSettings, makeImage } from '../drivers/qcow2/make-image.ts';
import { Errno } from '../../src/util/errno.ts';
import { makeVolume } from '../helpers/luks-volume.js';
import { useFolder } from '../helpers/sandbox.ts';
import { expectGolden, hashOf, overDebug, seeSession } from './see-session.ts';

const folder = useFolder();

function image(name: string, settings: ImageSettings = {}): string {
  const file = path.join(folder, name);
  writeFileSync(file, makeImage(settings));
  return file;
}

/** An image with data, zeroes, compressed data and a bitmap, made by a session of its own. */
async function busyImage(name: string): Promise<string> {
  const file = image(name, { bitmap: { name: 'b', granularityBits: 16 } });
  const maker = await seeSession(overDebug(file));
  await maker.talk('write 0 128k', 'write -z 192k 64k', 'write -c 256k 64k');
  await maker.close();
  return file;
}

const looks = [
  'where 0',
  'where 192k',
  'where 256k',
  'where 512k',
  'who 0 1M',
  'dump header',
  'dump l1',
  'dump l2',
  'dump refcounts',
  'dump snapshots',
  'dump bitmaps',
  'map -v',
  'check',
  'check -d',
];

describe('where, who and dump', () => {
  it('show a write whose L2 entry is not on disk yet, in a pipe', async () => {
    const see = await seeSession(overDebug(image('pipe.qcow2')));
    const lines = ['write 0 64k', 'break l2_update A', 'aio_write 128k 64k', 'flush', 'where 0', 'where 130k'];
    const text = await see.talk(...lines, 'who 0x60000', 'dump l1', 'dump l2', 'dump refcounts', 'where -j 128k');
    expectGolden('pending-in-a-pipe', text.replaceAll(folder, 'FOLDER'));
    await see.close();
  });

  it('show a request that has taken a cluster and has no entry for it, on a terminal', async () => {
    const see = await seeSession(overDebug(image('terminal.qcow2')), { isTerminal: true });
    const lines = [
      'break write_aio A',
      'aio_write 128k 64k',
      'wait_break A',
      'where 128k',
      'who 0x50000',
      'dump l2',
      'dump refcounts',
    ];
    const text = await see.talk(...lines);
    expectGolden('taken-on-a-terminal', text.replaceAll(folder, 'FOLDER'));
    await see.close();
  });

  it('show every structure of an image', async () => {
    const see = await seeSession(overDebug(await busyImage('all.qcow2')));
    const text = await see.talk(...looks);
    expectGolden('structures', text.replaceAll(folder, 'FOLDER').replaceAll(/\d{4}-\d\d-\d\dT[\d:]+Z/g, 'DATE'));
    await see.close();
  });

  it('follow a chain of backing files, and count the references of a snapshot', async () => {
    const base = await busyImage('base.qcow2');
    writeFileSync(base, addSnapshot(readFileSync(image('snapped.qcow2'))));
    const over = image('over.qcow2', { backing: { filename: base, format: 'qcow2' } });
    const options = { 'backing.node-name': 'below', 'backing.file.node-name': 'lowest' };
    const maker = await seeSession({ ...overDebug(base) });
    await maker.talk('write 64k 64k');
    await maker.close();
    const see = await seeSession(overDebug(over, options));
    const text = await see.talk(
      'write 0 64k',
      'where 0',
      'where 64k',
      'where 512k',
      'dump -n below snapshots',
      'who -n below 0x30000',
    );
    expectGolden('chain', text.replaceAll(folder, 'FOLDER'));
    await see.close();
  });

  it('show the runs of the disk, those that are not on disk yet, and how deep in the chain', async () => {
    const base = await busyImage('map-base.qcow2');
    const over = image('map-over.qcow2', { backing: { filename: base, format: 'qcow2' } });
    const see = await seeSession(overDebug(over, { 'backing.node-name': 'below', 'backing.file.node-name': 'lowest' }));
    const lines = [
      'write 704k 64k',
      'break write_aio A',
      'aio_write 512k 64k',
      'wait_break A',
      'map',
      'map -v',
      'map -v -j 64k 256k',
    ];
    expectGolden('map', await see.talk(...lines, 'map -v 0 1 2', 'map x', 'map -j'));
    await see.close();
  });

  it('tell of subclusters', async () => {
    const see = await seeSession(overDebug(image('sub.qcow2', { extendedL2: true })));
    const text = await see.talk('write 4k 6k', 'write -z 32k 8k', 'dump l2', 'where 4k', 'where 32k', 'where 0');
    expectGolden('subclusters', text.replaceAll(folder, 'FOLDER'));
    await see.close();
  });

  it('tell of a LUKS header, and check the image without its key', async () => {
    const see = await seeSession(
      overDebug(image('luks.qcow2', { encryption: makeVolume() }), { 'encrypt.key-secret': 's' }),
      { objects: new Map([['s', { kind: 'secret', content: Buffer.from('hunter2') }]]) },
    );
    await see.talk('write 4k 6k');
    const rows = await see.json<{ refcount: number; owner: string | null }[]>('who -j 0 1M');
    const owners = rows.filter(({ refcount }) => refcount > 0).map(({ owner }) => owner);
    expect(owners).toContain('luks header');
    expect(owners).not.toContain(null);
    expect(await see.talk('check', 'check -d')).toMatch(/^> check\nNo errors [^>]*> check -d\nNo errors /);
    await see.close();
  });

  it('say where the bytes of a raw window are', async () => {
    const file = path.join(folder, 'disk.raw');
    writeFileSync(file, Buffer.alloc(1 << 20, 1));
    const see = await seeSession({
      driver: 'raw',
      'node-name': 'top',
      offset: '65536',
      size: '65536',
      'file.driver': 'file',
      'file.node-name': 'disk',
      'file.filename': file,
    });
    const text = await see.talk('where 512', 'who 0 192k', 'dump l1');
    expectGolden('raw', text.replaceAll(folder, 'FOLDER'));
    await see.close();
  });

  it('refuse places that are not there', async () => {
    const see = await seeSession(overDebug(image('refused.qcow2')));
    const text = await see.talk('where', 'where x', 'who 1G', 'dump l3', 'dump header 0', 'where -n nowhere 0');
    expectGolden('refused', text);
    await see.close();
  });
});

describe('check', () => {
  it('says what a flush would make of the image, and what the power would leave of it', async () => {
    const see = await seeSession(overDebug(image('checked.qcow2')));
    const stop = ['write 0 64k', 'break l2_update A', 'aio_write 128k 64k', 'aio_flush', 'flush', 'check', 'check -d'];
    const repair = ['check -j', 'check -r all', 'resume A', 'aio_flush', 'check -r leaks', 'check -r x', 'check y'];
    expectGolden('check', (await see.talk(...stop, ...repair)).replaceAll(folder, 'FOLDER'));
    await see.close();
  });

  it('fails for corruption alone, and repairs it in the open image', async () => {
    const file = image('corrupt.qcow2');
    const bytes = readFileSync(file);
    bytes.writeUInt16BE(2, 0x20000 + 2 * 2);
    bytes.writeUInt16BE(1, 0x20000 + 2 * 9);
    writeFileSync(file, bytes);
    const see = await seeSession(overDebug(file));
    await see.talk('write 0 64k', 'flush');
    const entry = readFileSync(file).readBigUInt64BE(0x40000);
    await see.close();
    const damaged = readFileSync(file);
    damaged.writeBigUInt64BE(entry & ~(1n << 63n), 0x40000);
    writeFileSync(file, damaged);
    const again = await seeSession(overDebug(file));
    expectGolden('check-corrupt', await again.talk('check', 'check -r all', 'check', 'dump refcounts'));
    expect(again.session.lastError).toBe(-Errno.EIO);
    await again.close();
  });

  it('refuses formats without checks and images that are read-only', async () => {
    const file = image('read-only.qcow2');
    const see = await seeSession(overDebug(file), { flags: 0 });
    await see.talk('close', `open -r -o driver=raw,file.driver=file,file.filename=${file}`);
    expect(await see.talk('check')).toBe('> check\nqemu-io: This image format does not support checks\n');
    await see.talk('close', `open -r -o driver=qcow2,file.driver=file,file.filename=${file}`);
    expect(await see.talk('check -r all')).toContain('cannot be repaired');
    await see.close();
  });
});

it('info is JSON, too', async () => {
  const see = await seeSession(overDebug(image('info.qcow2')));
  const facts = await see.json<{ nodes: { node: string }[] }>('info -j');
  expect(facts).toMatchObject({ format: 'qcow2', length: 1 << 20, clusterBytes: 65536, specific: { compat: '1.1' } });
  expect(facts.nodes.map(({ node }) => node)).toEqual(['top', 'debug', 'disk']);
  expect(await see.talk('info -x')).toBe('> info -x\nbad argument count 1 to info, expected 0 arguments\n');
  await see.close();
});

describe('diff', () => {
  it('shows at l2_update the refcount on disk and the entry not yet', async () => {
    const see = await seeSession(overDebug(image('diff.qcow2')));
    const each = [
      'diff',
      'write 0 64k',
      'flush',
      'diff',
      'break l2_update A',
      'aio_write 64k 64k',
      'aio_flush',
      'diff',
    ];
    const stopped = [
      'diff -m',
      'aio_write 128k 64k',
      'aio_flush',
      'flush',
      'diff',
      'info',
      'resume A',
      'diff',
      'diff -o',
    ];
    expectGolden('diff', await see.talk(...each, ...stopped, 'write 192k 64k', 'diff'));
    await see.close();
  });

  it('shows how a write grows a table, on a terminal', async () => {
    const see = await seeSession(overDebug(image('grown.qcow2')), { isTerminal: true });
    expectGolden(
      'diff-on-a-terminal',
      await see.talk('diff', 'write 0 64k', 'diff', 'length', 'truncate 2G', 'diff', 'diff'),
    );
    await see.close();
  });

  it('begins anew with another image, and refuses a raw one', async () => {
    const file = image('other.qcow2');
    const see = await seeSession(overDebug(file));
    await see.talk('diff', 'write 0 64k', 'close', `open -o driver=qcow2,file.driver=file,file.filename=${file}`);
    expect(await see.talk('diff')).toBe('> diff\n');
    await see.talk('close', `open -o driver=raw,file.driver=file,file.filename=${file}`);
    expect(await see.talk('diff')).toBe('> diff\nqemu-io: raw has no metadata that could change\n');
    await see.close();
  });
});

describe('looking', () => {
  it('leaves no trace: no record, no event, no hit of a rule, no change of the file or of what is cached', async () => {
    const file = await busyImage('untouched.qcow2');
    const see = await seeSession(overDebug(file, { 'l2-cache-entry-size': 512, 'l2-cache-size': 1024 }));
    const { session } = see;
    await see.talk(
      'write 0 4k',
      'write 640k 4k',
      'break l2_load S -persistent',
      'break l2_update A',
      'aio_write 704k 4k',
      'flush',
    );
    const { trace } = session.context;
    const records: unknown[] = [];
    trace.subscribe((record) => {
      if (record.kind !== 'command' && record.kind !== 'output') records.push(record);
    });
    const state = async () => ({
      hash: hashOf(file),
      events: [...trace.history.counts.elsewhere, ...trace.history.counts.onDebugNodes],
      rules: await see.json('rules -j'),
    });
    const before = await state();
    await see.talk(...looks, 'dump -j l2', 'where -j 640k');
    expect(records).toEqual([]);
    expect(await state()).toEqual(before);
    expect(await see.talk('suspended')).toMatch(/^> suspended\nA\t/);
    await see.close();
  });

  it('goes on while the lock is held', async () => {
    const see = await seeSession(overDebug(image('locked.qcow2')));
    await see.talk('break l1_update B', 'aio_write 0 4k', 'wait_break B');
    expect(await see.talk('suspended')).toContain('l1_update');
    const [l1] = await see.json<{ step: string; entry: string; disk: string }[]>('where -j 0');
    expect(l1).toMatchObject({ step: 'l1', entry: '0x8000000000040000', disk: '0x0' });
    await see.close();
  });
});

describe('the fields of rows', () => {
  it('are those of the documentation', async () => {
    const see = await seeSession(overDebug(await busyImage('fields.qcow2')));
    const keysOf = async (line: string) => Object.keys((await see.json<object[]>(line))[0] ?? {}).toSorted();
    const names = (fields: readonly { readonly key: string }[]) => fields.map(({ key }) => key).toSorted();
    expect(await keysOf('where -j 0')).toEqual(names(whereFields));
    expect(await keysOf('who -j 0')).toEqual(names(whoFields));
    expect(await keysOf('map -v -j')).toEqual(names(mapFields));
    await see.talk('diff', 'write 960k 512');
    expect(await keysOf('diff -j')).toEqual(names(changeFields));
    for (const { name, fields } of inspectorOf({} as never).structures) {
      if (name !== 'snapshots') expect(await keysOf(`dump -j ${name}`), name).toEqual(names(fields));
    }
    await see.close();
  });
});
