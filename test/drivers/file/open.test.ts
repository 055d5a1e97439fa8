/** Opening files of the host: kinds, permissions, cache modes, messages. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Open } from '../../../src/block/flags.ts';
import { setLibcAvailable } from '../../../src/sys/libc.ts';
import { HostImages } from '../../helpers/host-images.ts';

let host: HostImages;

beforeEach(() => {
  host = new HostImages();
});

afterEach(async () => {
  setLibcAvailable(true);
  await host.remove();
});

// The texts are those of qemu-io 7.2.22.
describe('opening a host file', () => {
  it('fails with what the host said', async () => {
    const missing = host.path('missing');
    expect(await host.refusal({ driver: 'file', filename: missing })).toBe(
      `Could not open '${missing}': No such file or directory`,
    );
    symlinkSync('loop', host.path('loop'));
    expect(await host.refusal({ driver: 'file', filename: host.path('loop') })).toBe(
      `Could not open '${host.path('loop')}': Too many levels of symbolic links`,
    );
    mkdirSync(host.path('folder'));
    expect(await host.refusal({ driver: 'file', filename: host.path('folder') })).toBe(
      `Could not open '${host.path('folder')}': Is a directory`,
    );
  });

  it('wants a regular file for file and a device for host_device', async () => {
    mkdirSync(host.path('folder'));
    expect(await host.refusal({ driver: 'file', filename: host.path('folder') }, 0)).toBe(
      `'file' driver requires '${host.path('folder')}' to be a regular file`,
    );
    expect(await host.refusal({ driver: 'file', filename: '/dev/null' }, 0)).toBe(
      "'file' driver requires '/dev/null' to be a regular file",
    );
    const path = host.file('x', 512);
    expect(await host.refusal({ driver: 'host_device', filename: path }, 0)).toBe(
      `'host_device' driver requires '${path}' to be either a character or block device`,
    );
  });

  it('does not wait for the other end of a named pipe', async () => {
    execFileSync('mkfifo', [host.path('pipe')]);
    expect(await host.refusal({ driver: 'file', filename: host.path('pipe') }, 0)).toBe(
      `'file' driver requires '${host.path('pipe')}' to be a regular file`,
    );
  });

  it('takes a device by its name for host_device, a file for file', async () => {
    const device = await host.open({ driver: 'raw' }, 0, '/dev/null');
    expect(device.top.file?.node.driver.formatName).toBe('host_device');
    expect(device.getLength()).toBe(0);
    const file = await host.open({ driver: 'raw' }, 0, host.file('x', 512));
    expect(file.top.file?.node.driver.formatName).toBe('file');
  });

  it('knows that there is no monitor to get a descriptor from', async () => {
    expect(await host.refusal({ driver: 'file', filename: '/dev/fdset/7' })).toBe(
      'Could not dup FD for /dev/fdset/7 flags 2: Function not implemented',
    );
    for (const name of ['', 'x', '-1', '2147483648', '1x']) {
      expect(await host.refusal({ driver: 'file', filename: `/dev/fdset/${name}` })).toBe(
        `Could not parse fdset /dev/fdset/${name}`,
      );
    }
  });

  it('refuses values that an option does not have', async () => {
    const filename = host.file('x', 512);
    const refusal = (key: string, value: string): Promise<string> =>
      host.refusal({ driver: 'file', filename, [key]: value });
    expect(await refusal('aio', 'fast')).toBe('invalid parameter value: fast');
    expect(await refusal('locking', 'ON')).toBe('invalid parameter value: ON');
    expect(await refusal('aio-max-batch', 'x')).toBe("Parameter 'aio-max-batch' expects a number");
    expect(await refusal('drop-cache', 'x')).toBe("Parameter 'drop-cache' expects 'on' or 'off'");
    expect(await refusal('pr-manager', 'pr0')).toBe("No persistent reservation manager with id 'pr0'");
  });

  it('has native AIO only together with direct I/O', async () => {
    const filename = host.file('x', 4096);
    const message = 'aio=native was specified, but it requires cache.direct=on, which was not specified.';
    expect(await host.refusal({ driver: 'file', filename, aio: 'native' })).toBe(message);
    expect(await host.refusal({ driver: 'file', filename }, Open.NATIVE_AIO)).toBe(message);
    const image = await host.open({ driver: 'file', filename, aio: 'io_uring' });
    expect(image.getLength()).toBe(4096);
  });
});

describe('without the C library', () => {
  it('works without locks and holes, and says so once', async () => {
    const filename = host.file('x', 65_536, [0, 65_536, 7]);
    setLibcAvailable(false);
    const image = await host.open({ driver: 'file', filename });
    await host.open({ driver: 'file', filename });
    expect(host.warnings).toEqual([
      'qemu-io: warning: the C library cannot be loaded: no locks on images, no holes, no O_DIRECT',
    ]);
    expect(await host.errno(() => image.pwriteZeroes(512, 1024, 0))).toBe(0);
    expect(await host.errno(() => image.pdiscard(4096, 4096))).toBe(0);
    const data = await host.read(image, 0, 2048);
    expect(data).toEqual(Buffer.concat([Buffer.alloc(512, 7), Buffer.alloc(1024), Buffer.alloc(512, 7)]));
  });

  it('refuses locking=on', async () => {
    const filename = host.file('x', 512);
    setLibcAvailable(false);
    expect(await host.refusal({ driver: 'file', filename, locking: 'on' })).toMatch(/^locking=on was specified, but/);
  });
});
