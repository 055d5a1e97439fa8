/** Making images: the words of `create`, and images that are sound and as their options say. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { expectGolden, overDebug, type SeeSession, seeSession } from './see-session.ts';

const folder = useFolder();
const inFolder = (name: string): string => path.join(folder, name);

/** A session with an image that the commands have nothing to do with. */
async function busySession(): Promise<SeeSession> {
  writeFileSync(inFolder('open.qcow2'), makeImage());
  return seeSession(overDebug(inFolder('open.qcow2')));
}

it('create says what qemu-img says, and makes what was asked for', async () => {
  const see = await busySession();
  const lines = [
    'create -f qcow2 FOLDER/a.qcow2 64M',
    'create -f qcow2 -o cluster_size=512,refcount_bits=1,lazy_refcounts=on FOLDER/b.qcow2 1M',
    'create -f qcow2 -b a.qcow2 -F qcow2 FOLDER/c.qcow2',
    'create -f qcow2 -o data_file=FOLDER/data.raw,data_file_raw=on FOLDER/d.qcow2 1M',
    'create FOLDER/e.raw 1000',
    'create -q -f qcow2 FOLDER/f.qcow2 1M',
    'create -f qcow2 -o encryption=on FOLDER/g.qcow2 1M',
    'create -f qcow2 -o cluster_size=3k FOLDER/g.qcow2 1M',
    'create -f qcow2 -b nothing -F raw FOLDER/g.qcow2',
    'create -f qcow2 FOLDER/g.qcow2',
    'create -f qcow2 FOLDER/g.qcow2 x',
    'create -f qcow2 FOLDER/g.qcow2 1M 2M',
    'create -f qcow2 -o help',
    'create -f qcow2 FOLDER/open.qcow2 1M',
    'info',
  ];
  const text = await see.talk(...lines.map((line) => line.replaceAll('FOLDER', folder)));
  expectGolden('create', text.replaceAll(folder, 'FOLDER'));
  expect(existsSync(inFolder('g.qcow2'))).toBe(false);
  expect(readFileSync(inFolder('e.raw'))).toHaveLength(1024);
  await see.talk('close');
  for (const name of ['a', 'b', 'c', 'd']) {
    await see.talk(`open -o driver=qcow2,file.driver=file,file.filename=${inFolder(`${name}.qcow2`)}`);
    expect(await see.talk('check'), name).toContain('No errors were found on the image.');
    await see.talk('close');
  }
});
