/** The check of images as `qemu-img check` reports it, and repairs. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ownCheck } from '../../../helpers/own-check.ts';
import { Qcow2Host } from '../qcow2-host.ts';

let host: Qcow2Host;
beforeEach(() => {
  host = new Qcow2Host();
});
afterEach(() => host.remove());

/** Where `makeImage` has the refcount block of images with 64 KiB clusters. */
const REFCOUNT_BLOCK = 0x20000;

it('a sound image has no errors, and ends behind its last cluster', async () => {
  const file = host.image('disk.img');
  expect(await ownCheck(file, 'none', false)).toEqual({
    exit: 0,
    stdout: 'No errors were found on the image.\nImage end offset: 262144\n',
    stderr: '',
  });
});

it('a leaked cluster is counted, and freed by a repair', async () => {
  const file = host.image('disk.img', {}, (image) => image.writeUInt16BE(2, REFCOUNT_BLOCK + 2 * 3));
  expect(await ownCheck(file, 'none', false)).toEqual({
    exit: 3,
    stdout:
      '\n1 leaked clusters were found on the image.\nThis means waste of disk space, but no harm to data.\n' +
      'Image end offset: 262144\n',
    stderr: 'Leaked cluster 3 refcount=2 reference=1\n',
  });
  const { exit, stdout, stderr } = await ownCheck(file, 'leaks', true);
  expect({ exit, stderr }).toEqual({
    exit: 0,
    stderr: 'Leaked cluster 3 refcount=2 reference=1\nRepairing cluster 3 refcount=2 reference=1\n',
  });
  expect(JSON.parse(stdout)).toEqual({
    'image-end-offset': 262144,
    'total-clusters': 16,
    'check-errors': 0,
    'leaks-fixed': 1,
    filename: file,
    format: 'qcow2',
  });
  expect((await ownCheck(file, 'none', false)).exit).toBe(0);
});

it('a cluster in use that counts as free has new refcount structures made', async () => {
  const file = host.image('disk.img', {}, (image) => image.writeUInt16BE(0, REFCOUNT_BLOCK + 2 * 3));
  expect(await ownCheck(file, 'leaks', false)).toEqual({
    exit: 1,
    stdout: '',
    stderr:
      'ERROR cluster 3 refcount=0 reference=1\nERROR need to rebuild refcount structures\n' +
      'qemu-img: Check failed: Input/output error\n',
  });
  const { exit, stdout, stderr } = await ownCheck(file, 'all', false);
  expect({ exit, stderr: stderr.split('\n').slice(0, 2) }).toEqual({
    exit: 0,
    stderr: ['ERROR cluster 3 refcount=0 reference=1', 'Rebuilding refcount structure'],
  });
  expect(stdout).toContain('    1 corruptions\n\nDouble checking the fixed image now...\n');
});

it('an image whose autoclear bit claims bitmaps that it does not have refuses all writes of metadata', async () => {
  const file = host.image('disk.img', {}, (image) => {
    image.writeBigUInt64BE(1n, 88);
    image.writeUInt16BE(0, REFCOUNT_BLOCK + 2 * 3);
  });
  const { exit, stderr } = await ownCheck(file, 'all', false);
  expect(exit).toBe(1);
  expect(stderr).toContain('Preventing invalid write on metadata (overlaps with bitmap directory)');
  expect(stderr).toContain('qemu-img: ERROR writing refblock: Input/output error\nqemu-img: Check failed: ');
});

it('a refcount of 64 bits is said to its last digit, and repaired from there', async () => {
  const file = host.image('disk.img', { refcountOrder: 6 }, (image) => {
    image.writeBigUInt64BE(2n ** 60n + 1n, REFCOUNT_BLOCK + 8 * 3);
  });
  expect(await ownCheck(file, 'leaks', false)).toMatchObject({
    exit: 0,
    stderr:
      'Leaked cluster 3 refcount=1152921504606846977 reference=1\n' +
      'Repairing cluster 3 refcount=1152921504606846977 reference=1\n',
  });
  expect(host.bytes('disk.img').readBigUInt64BE(REFCOUNT_BLOCK + 8 * 3)).toBe(1n);
});
