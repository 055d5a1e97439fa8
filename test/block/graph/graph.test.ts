/** The graph of nodes: permissions, children, file names, reopening. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { BlockBackend } from '../../../src/block/backend.ts';
import { Open, Perm, Role } from '../../../src/block/flags.ts';
import { attachBackend, attachChild, closeBackend } from '../../../src/block/graph/graph.ts';
import { openBackend } from '../../../src/block/open/open.ts';
import { Options, type OptionValue } from '../../../src/block/options/options.ts';
import { setBackendPermissions } from '../../../src/block/graph/permissions.ts';
import { refreshFilename } from '../../../src/block/graph/refresh-filename.ts';
import { reopenNode } from '../../../src/block/open/reopen.ts';
import { type FakeHost, fakeHost, formatImage } from '../../helpers/fake-drivers.ts';

let host: FakeHost;

beforeEach(() => {
  host = fakeHost();
  host.images.set('x', Buffer.alloc(4096));
  host.images.set('fmt', formatImage());
});

function open(filename: string | null, options: Record<string, OptionValue> = {}, flags: number = Open.READ_WRITE) {
  return openBackend(host.context, { filename, options: new Options(Object.entries(options)), flags });
}

const pass = { driver: 'pass', 'image.driver': 'file', 'image.filename': 'x' };

const reopen = (image: BlockBackend, options: Record<string, OptionValue>): Promise<void> =>
  reopenNode(image.top, new Options(Object.entries(options)), true);

describe('permissions', () => {
  it('of a format are those for metadata, also when nobody writes', async () => {
    const image = await open('fmt');
    setBackendPermissions(image, 0, Perm.ALL);
    expect(image.top.file).toMatchObject({
      perm: Perm.CONSISTENT_READ | Perm.WRITE | Perm.RESIZE,
      shared: Perm.CONSISTENT_READ | Perm.WRITE_UNCHANGED,
    });
  });

  it('pass through a filter as they are', async () => {
    const image = await open(null, pass);
    setBackendPermissions(image, Perm.CONSISTENT_READ | Perm.RESIZE, Perm.WRITE);
    expect(image.top.file).toMatchObject({ perm: Perm.CONSISTENT_READ | Perm.RESIZE, shared: Perm.WRITE });
    expect(host.log.at(-1)).toBe('perm x 9/2');
  });

  it('that a driver refuses stay as they were, everywhere', async () => {
    const image = await open(null, pass, 0);
    await reopen(image, { 'read-only': false });
    host.locked.add('x');
    expect(() => setBackendPermissions(image, Perm.WRITE, Perm.ALL)).toThrow('Failed to get "write" lock');
    expect(image.root.perm).toBe(Perm.CONSISTENT_READ);
    expect(image.top.file?.perm).toBe(Perm.CONSISTENT_READ);
  });

  it('for writing are refused on a read-only node', async () => {
    const image = await open('x', { driver: 'raw' }, 0);
    expect(() => setBackendPermissions(image, Perm.WRITE, Perm.ALL)).toThrow('Block node is read-only');
    expect(image.root.perm).toBe(Perm.CONSISTENT_READ);
  });

  it('for writing need an image of whole blocks, or the right to resize', async () => {
    host.images.set('x', Buffer.alloc(4096 + 512));
    const image = await open(null, { ...pass, align: '4k' }, 0);
    await reopen(image, { 'read-only': false });
    expect(() => setBackendPermissions(image, Perm.WRITE, Perm.ALL)).toThrow(
      "Cannot get 'write' permission without 'resize': Image size is not a multiple of request alignment",
    );
    setBackendPermissions(image, Perm.WRITE | Perm.RESIZE, Perm.ALL);
  });

  it('that conflict are told with both users', async () => {
    const image = await open('fmt', { 'node-name': 'top', 'file.node-name': 'f' });
    const file = image.top.file?.node;
    if (file === undefined) throw new Error('no file');
    file.references += 1;
    await expect(attachBackend(file, Perm.WRITE, Perm.ALL)).rejects.toThrow(
      "Permission conflict on node 'f': permissions 'write' are both required by an unnamed block device " +
        "(uses node 'f' as 'root' child) and unshared by node 'top' (uses node 'f' as 'file' child).",
    );
    expect(file.parents).toHaveLength(1);
    file.references += 1;
    const other = await attachBackend(file, Perm.CONSISTENT_READ, Perm.ALL);
    await closeBackend(image);
    expect(host.openFiles.has('fmt')).toBe(true);
    await closeBackend(other);
    expect(host.openFiles.has('fmt')).toBe(false);
  });

  it('may always be given up', async () => {
    const image = await open('x', { driver: 'raw' });
    setBackendPermissions(image, 0, Perm.ALL);
    expect(image.root.perm).toBe(0);
  });
});

describe('attachChild', () => {
  it('makes no cycles', async () => {
    const image = await open('fmt', { 'node-name': 'top' });
    const file = image.top.file?.node;
    if (file === undefined) throw new Error('no file');
    image.top.references += 1;
    await expect(attachChild(file, image.top, 'backing', Role.COW)).rejects.toThrow(/^Making 'top' a backing child of/);
    expect(file.children).toEqual([]);
    await closeBackend(image);
    expect(host.openFiles.size).toBe(0);
  });
});

describe('refreshFilename', () => {
  const nameOf = (image: BlockBackend): string => {
    refreshFilename(image.top);
    return image.top.filename;
  };

  it('gives a format the name of its file', async () => {
    expect(nameOf(await open('x', { driver: 'raw' }))).toBe('x');
  });

  it('gives options that matter as json:', async () => {
    expect(nameOf(await open('x', { driver: 'raw', size: 1024 }))).toBe(
      'json:{"driver": "raw", "size": 1024, "file": {"driver": "file", "filename": "x"}}',
    );
  });

  it('gives a filter as json:', async () => {
    expect(nameOf(await open(null, pass))).toBe(
      'json:{"image": {"driver": "file", "filename": "x"}, "driver": "pass"}',
    );
  });

  it("tells a backing file that is not the image's own", async () => {
    host.images.set('top', formatImage('fmt', 'fmt'));
    expect(nameOf(await open('top'))).toBe('top');
    expect(
      nameOf(
        await open('top', { 'backing.driver': 'raw', 'backing.file.driver': 'file', 'backing.file.filename': 'x' }),
      ),
    ).toBe(
      'json:{"backing": {"driver": "raw", "file": {"driver": "file", "filename": "x"}}, "driver": "fmt", "file": {"driver": "file", "filename": "top"}}',
    );
    expect(nameOf(await open('top', { backing: null }))).toBe(
      'json:{"backing": null, "driver": "fmt", "file": {"driver": "file", "filename": "top"}}',
    );
  });

  it('cuts a long name', async () => {
    const long = 'y'.repeat(5000);
    host.images.set(long, Buffer.alloc(512));
    const name = nameOf(await open(null, { ...pass, 'image.filename': long }));
    expect(name).toHaveLength(4095);
    expect(name.endsWith('yyy...')).toBe(true);
  });
});

describe('reopenNode', () => {
  it('changes the node and what inherits from it', async () => {
    const image = await open(null, pass);
    setBackendPermissions(image, Perm.CONSISTENT_READ, Perm.ALL);
    await reopen(image, { 'read-only': true, 'cache.no-flush': 'on' });
    for (const node of [image.top, image.top.file?.node]) {
      expect(node?.isReadOnly).toBe(true);
      expect((node?.openFlags ?? 0) & Open.NO_FLUSH).not.toBe(0);
    }
    expect(() => setBackendPermissions(image, Perm.WRITE, Perm.ALL)).toThrow('Block node is read-only');
    await reopen(image, { 'read-only': false });
    setBackendPermissions(image, Perm.WRITE, Perm.ALL);
  });

  it('prepares parents first and commits children first', async () => {
    const image = await open('fmt');
    host.log.length = 0;
    await reopen(image, {});
    expect(host.log.filter((line) => line.startsWith('prepare'))).toHaveLength(2);
    expect(host.log.findIndex((line) => line.startsWith('commit'))).toBeGreaterThan(
      host.log.findLastIndex((line) => line.startsWith('prepare')),
    );
  });

  it('undoes everything when a child refuses', async () => {
    const image = await open('fmt');
    const { openFlags, options } = image.top;
    host.log.length = 0;
    await expect(reopen(image, { 'cache.no-flush': 'on', 'file.refuse': 'no' })).rejects.toThrow('no');
    expect(host.log.filter((line) => line.includes('reopen') || line.includes('commit'))).toEqual([
      'reopen-abort format',
    ]);
    expect(image.top.openFlags).toBe(openFlags);
    expect(image.top.options).toBe(options);
  });

  it('keeps a writer from losing its node', async () => {
    const image = await open('x', { driver: 'raw', 'node-name': 'top' });
    await expect(reopen(image, { 'read-only': true })).rejects.toThrow(
      "Read-only block node 'top' cannot support read-write users",
    );
    expect(image.top.isReadOnly).toBe(false);
  });

  it('takes new values of the options that the driver can change, and forgets none', async () => {
    const image = await open('x', { driver: 'raw', size: '1k' });
    await reopen(image, { offset: '512' });
    expect(image.top.options.get('size')).toBe('1k');
    expect(image.top.options.get('offset')).toBe('512');
    expect(image.top.explicitOptions.get('offset')).toBe('512');
  });

  it('resets what is left out, if the old options are not kept and the driver can', async () => {
    const image = await open('x', { driver: 'raw', size: '1k' });
    const kept = { driver: 'raw', 'file.driver': 'file', 'file.filename': 'x' };
    await reopenNode(image.top, new Options(Object.entries(kept)), false);
    expect(image.top.options.has('size')).toBe(false);
    await expect(reopenNode(image.top, new Options([['file.driver', 'file']]), false)).rejects.toThrow(
      "Option 'driver' cannot be reset to its default value",
    );
  });

  it('puts other nodes in the place of a backing file', async () => {
    host.images.set('top', formatImage('fmt', 'fmt'));
    const image = await open('top', { 'node-name': 'top', 'file.node-name': 'f', 'backing.node-name': 'b' });
    await reopen(image, { backing: null });
    expect(image.top.backing).toBeNull();
    expect(host.openFiles).toEqual(new Set(['top']));
    await expect(reopen(image, { backing: 'b' })).rejects.toThrow("Cannot find device='' nor node-name='b'");
    await reopen(image, { backing: 'f' });
    expect(image.top.backing?.node.nodeName).toBe('f');
    await closeBackend(image);
    expect(host.openFiles.size).toBe(0);
  });

  it('keeps the backing file when another one is refused', async () => {
    host.images.set('top', formatImage('fmt', 'fmt'));
    const image = await open('top', { 'node-name': 'top', 'file.node-name': 'f', 'backing.node-name': 'b' });
    await expect(reopen(image, { backing: 'f', foo: '1' })).rejects.toThrow("Cannot change the option 'foo'");
    expect(image.top.backing?.node.nodeName).toBe('b');
    expect(image.top.backing?.node.inheritsFrom).toBe(image.top);
    await closeBackend(image);
    expect(host.openFiles.size).toBe(0);
  });

  // The texts are those of qemu-io 7.2.22.
  it.each<[Record<string, OptionValue>, string]>([
    [{ foo: '1' }, "Cannot change the option 'foo'"],
    [{ file: 'x' }, "Cannot find device='' nor node-name='x'"],
    [{ 'file.foo': '1' }, "Cannot change the option 'foo'"],
    [{ driver: 'fmt' }, "Cannot change the option 'driver'"],
    [{ 'node-name': 'b' }, "Cannot change the option 'node-name'"],
    [{ 'file.filename': 'y' }, "Cannot change the option 'filename'"],
    [{ 'file.driver': 'raw' }, "Cannot change the option 'driver'"],
    [{ backing: '' }, "Cannot find device='' nor node-name=''"],
    [{ backing: 'f' }, "Driver 'raw' of node 'top' does not support backing files"],
    [{ file: 'top' }, "Making 'top' a file child of 'top' would create a cycle"],
    [{ 'read-only': 'zz' }, "Parameter 'read-only' expects 'on' or 'off'"],
    [{ discard: 'zz' }, 'Invalid discard option'],
    [{ 'detect-zeroes': 'zz' }, 'invalid parameter value: zz'],
    [{ 'file.refuse': '' }, "failed while preparing to reopen image 'x'"],
  ])('refuses %s', async (options, message) => {
    const image = await open('x', { driver: 'raw', 'node-name': 'top', 'file.node-name': 'f' });
    await expect(reopen(image, options)).rejects.toMatchObject({ message });
    await reopen(image, { 'file.filename': 'x', driver: 'raw' });
    await reopen(image, { file: 'f' });
  });

  it('refuses read-only while copy on read is on', async () => {
    const image = await open('x', { driver: 'raw', 'node-name': 'top' }, Open.READ_WRITE | Open.COPY_ON_READ);
    setBackendPermissions(image, 0, Perm.ALL);
    await expect(reopen(image, { 'read-only': true })).rejects.toThrow(
      "Can't set node 'top' to r/o with copy-on-read enabled",
    );
  });

  it('refuses drivers that cannot do it', async () => {
    host.context.drivers.add([{ formatName: 'stiff', protocolName: 'stiff', open: async () => {} }]);
    const image = await open(null, { driver: 'stiff', 'node-name': 's' });
    await expect(reopen(image, {})).rejects.toThrow(
      "Block format 'stiff' used by node 's' does not support reopening files",
    );
  });

  it('tells a flush that fails', async () => {
    const image = await open('x', { driver: 'raw' });
    if (image.top.file !== null) image.top.file.node.writeGeneration += 1;
    host.badFlush.add('x');
    await expect(reopen(image, {})).rejects.toThrow('Error flushing drive: Input/output error');
  });
});
