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
