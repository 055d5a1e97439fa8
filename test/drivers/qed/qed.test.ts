/** The qed driver over files: the mark that asks for a check, and when it goes. */
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeQed } from '../../helpers/format-images.js';
import { HostImages } from '../../helpers/host-images.ts';
import { JumpingClock } from '../../../src/sandbox/jumping-clock.ts';

const KIB = 1024;

let host: HostImages;
beforeEach(() => {
  host = new HostImages({ clock: new JumpingClock() });
  writeFileSync(host.path('v'), makeQed({ lengthBytes: 1024 * KIB, clusters: [0] }));
});
afterEach(() => host.remove());

const open = () => host.open({ driver: 'qed', 'file.driver': 'file', 'file.filename': host.path('v') });
const isMarked = (): boolean => (host.bytes('v').readUInt32LE(16) & 2) !== 0;

it('is marked by the first allocation until it is closed, however long that takes', async () => {
  const image = await open();
  await host.write(image, 0, KIB, 1);
  expect(isMarked()).toBe(false);
  await host.write(image, 64 * KIB, KIB, 1);
  expect(isMarked()).toBe(true);
  await host.loop.run('wait', () => host.loop.sleep(60e9));
  await host.write(image, 128 * KIB, KIB, 1);
  expect(isMarked()).toBe(true);
  await host.close(image);
  expect(isMarked()).toBe(false);
});
