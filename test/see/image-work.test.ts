/** Work on images without leaving the session: snapshots, comparisons, commits, bytes of the file, host commands. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeImage, type ImageSettings } from '../drivers/qcow2/make-image.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { expectGolden, overDebug, seeSession } from './see-session.ts';

const folder = useFolder();

function image(name: string, settings: ImageSettings = {}): string {
  const file = path.join(folder, name);
  writeFileSync(file, makeImage(settings));
  return file;
}

const plain = (text: string): string =>
  text.replaceAll(folder, 'FOLDER').replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, 'YYYY-MM-DD hh:mm:ss');

describe('snapshot', () => {
  it('is taken, listed, applied and deleted', async () => {
    const see = await seeSession(overDebug(image('snapshot.qcow2')));
    const taken = [
      'write -P 1 0 64k',
      'snapshot',
      'snapshot -c one',
      'write -P 2 0 64k',
      'snapshot -c two',
      'snapshot -l',
    ];
    const applied = [
      'dump l2',
      'snapshot -a one',
      'read -P 1 0 64k',
      'snapshot -d two',
      'snapshot',
      'check',
      'dump refcounts',
    ];
    const refused = ['snapshot -a none', 'snapshot -d none', 'snapshot -c', 'snapshot -c a -d b', 'snapshot -l -c a'];
    expectGolden('snapshot', plain(await see.talk(...taken, ...applied, ...refused)));
    expect(await see.json('snapshot -j')).toMatchObject([{ id: '1', name: 'one', vmStateBytes: 0 }]);
    await see.close();
  });

  it('waits for requests in flight', async () => {
    const see = await seeSession(overDebug(image('waits.qcow2')));
    await see.talk('break write_aio A', 'aio_write 0 64k', 'wait_break A', 'snapshot -c late');
    expect(await see.talk('snapshot', 'requests')).toContain('the requests before it');
    await see.talk('resume A', 'aio_flush');
    expect(await see.talk('snapshot')).toContain('late');
    await see.close();
  });

  it('is none of raw images', async () => {
    const file = path.join(folder, 'disk.raw');
    writeFileSync(file, Buffer.alloc(65536));
    const see = await seeSession({ driver: 'raw', 'file.driver': 'file', 'file.filename': file });
    expectGolden('snapshot-raw', await see.talk('snapshot', 'snapshot -c a', 'snapshot -a a', 'snapshot -d a'));
    await see.close();
  });
});

it('compare finds the first difference, and passes over lengths unless it is strict', async () => {
  const other = path.join(folder, 'other.raw');
  writeFileSync(other, Buffer.alloc(2 << 20));
  const see = await seeSession(overDebug(image('compared.qcow2')));
  const text = await see.talk(
    `compare -F raw ${other}`,
    `compare -s -F raw ${other}`,
    'write -P 7 64k 512',
    `compare -F raw ${other}`,
    `compare -F qcow2 ${other}`,
    'compare',
  );
  expectGolden('compare', plain(text));
  await see.close();
});

it('commit writes into the backing file, and empties the image', async () => {
  const base = image('base.qcow2');
  const over = image('over.qcow2', { lengthBytes: 2 << 20, backing: { filename: base, format: 'qcow2' } });
  const options = { 'backing.node-name': 'below', 'backing.file.node-name': 'lowest' };
  const see = await seeSession(overDebug(over, options));
  const work = [
    'write -P 5 0 64k',
    'write -z 128k 64k',
    'write -P 6 1536k 64k',
    'map -v',
    'commit -d',
    'map -v',
    'commit',
  ];
  const after = ['map -v', 'read -P 5 0 64k', 'read -P 6 1536k 64k', 'check', 'check -n below', 'commit x'];
  const busy = ['nodes', 'break write_aio A', 'aio_write 0 64k', 'wait_break A', 'commit', 'resume A', 'aio_flush'];
  expectGolden('commit', plain(await see.talk(...work, ...after, ...busy)));
  await see.close();
});

it('commit -b writes into an image further down, and leaves the one above as it is', async () => {
  const file = (name: string): string => path.join(folder, name);
  const see = await seeSession({ driver: 'null-co' });
  await see.talk(
    `create -q ${file('low.raw')} 1M`,
    `create -q -f qcow2 -b ${file('low.raw')} -F raw ${file('mid.qcow2')}`,
    `create -q -f qcow2 -b mid.qcow2 -F qcow2 ${file('top.qcow2')} 2M`,
    'close',
    `open ${file('mid.qcow2')}`,
    'write -q -P 1 0 64k',
    'write -q -P 1 512k 64k',
    'close',
    `open ${file('top.qcow2')}`,
    'write -q -P 2 64k 64k',
    'write -q -z 512k 64k',
    'write -q -P 3 1536k 4k',
  );
  expect(await see.talk('commit -b nothing', `commit -b ${file('top.qcow2')}`)).toMatch(
    /Did not find 'nothing' in the backing chain[^]*Did not find '/,
  );
  const text = await see.talk(`commit -p -b ${file('low.raw')}`);
  expect(text).toMatch(/\(0\.00\/100%\)\r[^]*\(100\.00\/100%\)\r\nImage committed\.\n/);
  expect(await see.talk('map')).toContain('64 KiB (0x10000) bytes     allocated at offset 64 KiB');
  await see.talk('close', `open -o driver=raw,file.driver=file,file.filename=${file('low.raw')}`);
  const reads = [
    'read -q -P 1 0 64k',
    'read -q -P 2 64k 64k',
    'read -q -P 0 512k 64k',
    'read -q -P 3 1536k 4k',
    'length',
  ];
  expect(await see.talk(...reads)).toBe(`${reads.map((line) => `> ${line}\n`).join('')}2 MiB\n`);
  await see.close();
});

it('commit needs a backing file', async () => {
  const see = await seeSession(overDebug(image('alone.qcow2')));
  expect(await see.talk('commit')).toBe('> commit\nqemu-io: Image does not have a backing file\n');
  await see.close();
});

describe('poke', () => {
  it('changes the file and nothing that is cached, without an event', async () => {
    const file = image('poked.qcow2');
    const see = await seeSession(overDebug(file));
    await see.talk('write 0 64k', 'flush');
    const events = await see.talk('events');
    const text = await see.talk('poke 0x40000 0000000000050000', 'where 0', 'check', 'check -d', 'poke 0x40000 80 00');
    expectGolden('poke', plain(text));
    expect(await see.talk('events')).toBe(events);
    expect(readFileSync(file).readBigUInt64BE(0x40000)).toBe(0x8000000000050000n);
    await see.close();
  });

  it('refuses what is no row of bytes, and places behind the end', async () => {
    const see = await seeSession(overDebug(image('unpoked.qcow2')));
    const text = await see.talk('poke 0 xyz', 'poke 0 123', 'poke 1G 00', 'poke 0', 'poke -n nowhere 0 00');
    expectGolden('poke-refused', plain(text));
    await see.close();
  });
});

describe('!', () => {
  it('runs a command of the host on a terminal, and fails as it does', async () => {
    const see = await seeSession(overDebug(image('host.qcow2')), { isTerminal: true });
    expect(await see.talk('!echo "a  b" | tr a c', '! echo err >&2; exit 3', '!')).toBe(
      '> !echo "a  b" | tr a c\nc  b\n> ! echo err >&2; exit 3\nerr\n(exit status 3)\n' +
        '> !\nbad argument count 0 to !, expected 1 arguments\n',
    );
    expect(see.session.lastError).toBeLessThan(0);
    await see.close();
  });

  it('means in a pipe what it means to qemu-io', async () => {
    const see = await seeSession(overDebug(image('pipe.qcow2')));
    expect(await see.talk('!echo a', '! echo a')).toBe(
      '> !echo a\ncommand "!echo" not found\n> ! echo a\ncommand "!" not found\n',
    );
    await see.close();
  });
});
