/** Opening images: drivers, probing, children, backing files, messages. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { BlockBackend } from '../../../src/block/backend.ts';
import { Open, Perm } from '../../../src/block/flags.ts';
import { closeBackend } from '../../../src/block/graph/graph.ts';
import { openBackend } from '../../../src/block/open/open.ts';
import { Options, type OptionValue } from '../../../src/block/options/options.ts';
import { type FakeHost, fakeHost, formatImage } from '../../helpers/fake-drivers.ts';
import { GraphContext } from '../../../src/block/graph/context.ts';

let host: FakeHost;

beforeEach(() => {
  host = fakeHost();
  host.images.set('x', Buffer.alloc(4096));
  host.images.set('fmt', formatImage());
});

function open(
  filename: string | null,
  options: Record<string, OptionValue> = {},
  flags: number = Open.READ_WRITE | Open.UNMAP,
): Promise<BlockBackend> {
  return openBackend(host.context, { filename, options: new Options(Object.entries(options)), flags });
}

describe('openBackend', () => {
  it('guesses the format from the first bytes, below it the file by its name', async () => {
    const image = await open('fmt');
    expect(image.top.driver.formatName).toBe('fmt');
    expect(image.top.probed).toBe(true);
    expect(image.top.file?.node.driver.formatName).toBe('file');
    expect(image.top.file?.node.filename).toBe('fmt');
    expect(host.log.filter((line) => line.startsWith('open'))).toEqual(['open fmt', 'open format']);
  });

  it('takes an image that no format knows for raw, also an empty or a short one', async () => {
    host.images.set('empty', Buffer.alloc(0));
    host.images.set('short', Buffer.alloc(512));
    for (const name of ['x', 'empty', 'short']) {
      const image = await open(name);
      expect(image.top.driver.formatName).toBe('raw');
      expect(host.warnings.pop()).toBe(`guessed raw: ${name}`);
    }
  });

  it('does not guess when the driver is given', async () => {
    const image = await open('fmt', { driver: 'raw' });
    expect(image.top.driver.formatName).toBe('raw');
    expect(image.top.probed).toBe(false);
    expect(image.top.exactFilename).toBe('fmt');
  });

  it('takes a prefix off the file name, and protects what then looks like one', async () => {
    host.images.set('./a:b', Buffer.alloc(512));
    const image = await open('file:a:b', { driver: 'raw' });
    expect(image.top.file?.node.filename).toBe('./a:b');
  });

  it('opens nested options of json:, which count less than given ones', async () => {
    const image = await open("json:{'driver':'raw','read-only':true,'file':{'driver':'file','filename':'x'}}", {
      'read-only': 'off',
    });
    expect(image.top.isReadOnly).toBe(false);
    expect(image.top.file?.node.filename).toBe('x');
  });

  it('asks for writing only with the flag', async () => {
    const writable = await open('x', { driver: 'raw' });
    expect(writable.root).toMatchObject({ perm: Perm.CONSISTENT_READ | Perm.WRITE, shared: Perm.ALL });
    await closeBackend(writable);
    const readOnly = await open('x', { driver: 'raw' }, 0);
    expect(readOnly.root.perm).toBe(Perm.CONSISTENT_READ);
  });

  it('hands cache, writing and sharing down, but allows discards below', async () => {
    const flags = Open.NO_CACHE | Open.NO_FLUSH;
    const image = await open('pass:x', { 'force-share': 'on', 'auto-read-only': 'on' }, flags);
    const file = image.top.file?.node.file?.node;
    expect(file?.driver.formatName).toBe('file');
    const mask = Open.NO_CACHE | Open.NO_FLUSH | Open.READ_WRITE | Open.AUTO_READ_ONLY | Open.UNMAP;
    expect((file?.openFlags ?? 0) & mask).toBe(flags | Open.AUTO_READ_ONLY | Open.UNMAP);
    expect(file?.forceShare).toBe(true);
    expect(file?.parents[0]?.shared).toBe(Perm.ALL);
    expect(image.top.openFlags & Open.UNMAP).toBe(0);
  });

  it('lets a child be told otherwise', async () => {
    const image = await open('fmt', { 'cache.direct': 'on', 'file.cache.direct': 'off', 'file.discard': 'off' });
    expect(image.top.openFlags & Open.NO_CACHE).not.toBe(0);
    expect(image.top.file?.node.openFlags).toBe(Open.READ_WRITE | Open.ALLOW_READ_WRITE | Open.PROTOCOL);
  });

  it('opens a node under a name that others can refer to', async () => {
    host.images.set('fmt', formatImage('ignored'));
    const image = await open(null, {
      driver: 'fmt',
      'file.driver': 'file',
      'file.filename': 'fmt',
      'file.node-name': 'f',
      backing: 'f',
    });
    expect(image.top.backing?.node).toBe(image.top.file?.node);
    await closeBackend(image);
    expect(host.log.slice(-2)).toEqual(['perm fmt 0/15', 'close fmt']);
    expect(host.openFiles.size).toBe(0);
  });

  it('keeps the options of children out of those of the node', async () => {
    const image = await open(null, { driver: 'raw', 'file.driver': 'file', 'file.filename': 'x', size: '1k' });
    expect([...image.top.explicitOptions]).toEqual([
      ['driver', 'raw'],
      ['size', '1k'],
    ]);
    expect([...image.top.options.keys()].sort()).toEqual(
      ['auto-read-only', 'cache.direct', 'cache.no-flush', 'driver', 'read-only', 'size'].sort(),
    );
  });

  it('widens limits and checks the alignment', async () => {
    await expect(open(null, { driver: 'pass', 'x-image': 'x', align: '2G' })).rejects.toThrow(
      'Driver requires too large request alignment',
    );
    expect(host.openFiles.size).toBe(0);
  });

  it('names the nodes with numbers that count on', async () => {
    const first = await open('x', { driver: 'raw' });
    await closeBackend(first);
    const second = await open('x', { driver: 'raw' });
    expect(first.top.nodeName).toMatch(/^#block1\d\d$/);
    expect(second.top.file?.node.nodeName).toMatch(/^#block2\d\d$/);
  });

  it('closes from the top down, each flushed before', async () => {
    const image = await open('pass:fmt');
    expect(image.top.driver.formatName).toBe('fmt');
    host.log.length = 0;
    await closeBackend(image);
    expect(host.log.filter((line) => !line.startsWith('perm'))).toEqual([
      'flush format',
      'close format',
      'close pass',
      'close fmt',
    ]);
  });

  it('closes everything also when a flush fails', async () => {
    const image = await open('x', { driver: 'raw' });
    if (image.top.file !== null) image.top.file.node.writeGeneration += 1;
    host.badFlush.add('x');
    await closeBackend(image);
    expect(host.openFiles.size).toBe(0);
    expect(host.badFlush.size).toBe(0);
  });
});

describe('backing files', () => {
  it('are opened as the image names them, relative to its folder, read-only', async () => {
    host.images.set('dir/top', formatImage('base', 'raw'));
    host.images.set('dir/base', Buffer.alloc(4096));
    const image = await open('dir/top');
    const backing = image.top.backing?.node;
    expect(backing?.driver.formatName).toBe('raw');
    expect(backing?.isReadOnly).toBe(true);
    expect(backing?.filename).toBe('dir/base');
    expect(image.top.backing).toMatchObject({ perm: Perm.CONSISTENT_READ, shared: Perm.ALL });
  });

  it('have their format guessed if the image does not name it', async () => {
    host.images.set('top', formatImage('fmt'));
    const image = await open('top');
    expect(image.top.backing?.node.driver.formatName).toBe('fmt');
    expect(image.top.backing?.node.probed).toBe(true);
  });

  it('can be left out', async () => {
    host.images.set('top', formatImage('gone'));
    const image = await open("json:{'driver':'fmt','backing':null,'file':{'driver':'file','filename':'top'}}");
    expect(image.top.backing).toBeNull();
  });

  it('that cannot be opened close what was opened', async () => {
    host.images.set('top', formatImage('gone', 'raw'));
    await expect(open('top')).rejects.toThrow(
      "Could not open backing file: Could not open 'gone': No such file or directory",
    );
    expect(host.openFiles.size).toBe(0);
    expect(host.log).toContain('close format');
  });
});

// The texts are those of qemu-io 7.2.22, with the names of the fake drivers.
describe('openBackend refuses', () => {
  const file = { 'file.driver': 'file', 'file.filename': 'x' };
  it.each<[string, string | null, Record<string, OptionValue>, string]>([
    ['an unknown driver', 'x', { driver: 'nope' }, "Unknown driver 'nope'"],
    ['a protocol of QEMU', 'ssh://host/disk', {}, "blkscope has no driver for 'ssh' yet"],
    ['a filter of QEMU', 'x', { driver: 'replication' }, "blkscope has no driver for 'replication' yet"],
    ['an unknown protocol', 'foo:bar', {}, "Unknown protocol 'foo'"],
    ['a missing file', 'nofile', {}, "Could not open 'nofile': No such file or directory"],
    ['bad JSON', 'json:{', {}, 'Could not parse the JSON options: JSON parse error, premature EOI'],
    ['JSON that is no object', 'json:5', {}, 'Invalid JSON object given'],
    ['nothing at all', null, {}, 'Must specify either driver or file'],
    ['a protocol without a name', null, { driver: 'file' }, "The 'file' block driver requires a file name"],
    ['a format without a file', null, { driver: 'raw' }, 'A block device must be specified for "file"'],
    ['a child of another type', null, { driver: 'raw', file: 5 }, 'A block device must be specified for "file"'],
    ['a reference to nothing', null, { driver: 'raw', file: 'y' }, "Cannot find device='y' nor node-name='y'"],
    [
      'a reference with a file name',
      'y',
      { file: 'x' },
      'Cannot reference an existing block device with additional options or a new filename',
    ],
    [
      'two file names',
      'y',
      { driver: 'file', filename: 'x' },
      "Can't specify 'file' and 'filename' options at the same time",
    ],
    [
      'two file names for the child',
      'y',
      { 'file.filename': 'x' },
      "Can't specify 'file' and 'filename' options at the same time",
    ],
    ['an option left over', 'x', { driver: 'raw', foo: 1 }, "Block format 'raw' does not support the option 'foo'"],
    [
      'an option left over for a protocol',
      'x',
      { driver: 'file', foo: 1 },
      "Block protocol 'file' doesn't support the option 'foo'",
    ],
    [
      'an option left over below',
      'x',
      { driver: 'raw', 'file.foo': 1 },
      "Block protocol 'file' doesn't support the option 'foo'",
    ],
    ['a bad truth value', 'x', { 'cache.direct': 'kk' }, "Parameter 'cache.direct' expects 'on' or 'off'"],
    ['a bad discard mode', 'x', { discard: 'kk' }, 'Invalid discard option'],
    ['a bad mode of zero detection', 'x', { 'detect-zeroes': 'kk' }, 'invalid parameter value: kk'],
    [
      'unmapping zeroes without discards',
      'x',
      { 'detect-zeroes': 'unmap', discard: 'off' },
      'setting detect-zeroes to unmap is not allowed without setting discard operation to unmap',
    ],
    [
      'a writable node that is shared by force',
      'x',
      { 'force-share': true },
      'force-share=on can only be used with read-only images',
    ],
    ['read-only without the flag', 'x', { 'read-only': 'yes' }, 'Block node is read-only'],
    ['a bad node name', 'x', { 'node-name': '3' }, "Invalid node-name: '3'"],
    ['a long node name', 'x', { 'node-name': 'a'.repeat(32) }, 'Node name too long'],
    ['a node name twice', 'x', { 'node-name': 'a', 'file.node-name': 'a' }, "Duplicate nodes with node-name='a'"],
    ['a backing file for raw', 'x', { driver: 'raw', backing: 'a' }, "Driver doesn't support backing files"],
    [
      'an empty backing object for raw',
      "json:{'driver':'raw','backing':{},'file':{'driver':'file','filename':'x'}}",
      {},
      "Block format 'raw' does not support the option 'backing'",
    ],
    ['what the driver refuses', null, { driver: 'fmt', fail: 'so it is', ...file }, 'so it is'],
    [
      'what the driver refuses without words',
      null,
      { driver: 'fmt', fail: '', ...file },
      "Could not open 'x': Invalid argument",
    ],
    ['an image that cannot be read', 'bad', {}, 'Could not read image for determining its format: Input/output error'],
    ['a locked file', 'locked', { driver: 'raw' }, 'Failed to get "write" lock'],
  ])('%s', async (_what, filename, options, message) => {
    host.images.set('bad', Buffer.alloc(4096));
    host.images.set('locked', Buffer.alloc(4096));
    host.locked.add('locked');
    await expect(open(filename, options)).rejects.toMatchObject({ message });
    expect(host.openFiles.size).toBe(0);
    // The names are free again.
    await open('x', { driver: 'raw', 'node-name': 'a' });
  });

  it('copy on read without writing', async () => {
    await expect(open('x', { driver: 'raw' }, Open.COPY_ON_READ)).rejects.toThrow(
      "Can't use copy-on-read on read-only device",
    );
  });
});

it('warns of an empty string for backing', async () => {
  await open('x', { driver: 'raw', backing: '' });
  expect(host.warnings).toEqual(['qemu-io: warning: Use of "backing": "" is deprecated; use "backing": null instead']);
});

describe('snapshot mode', () => {
  it('puts an overlay on the image, which is opened read-only, and deletes the file of the overlay', async () => {
    host.context.drivers.add([{ ...host.drivers[2], formatName: 'qcow2' } as (typeof host.drivers)[number]]);
    const image = await open('x', { driver: 'raw' }, Open.READ_WRITE | Open.SNAPSHOT);
    expect(image.top.driver.formatName).toBe('qcow2');
    expect(image.top.openFlags & Open.NO_FLUSH).not.toBe(0);
    expect(image.top.backing?.node.driver.formatName).toBe('raw');
    expect(image.top.backing?.node.isReadOnly).toBe(true);
    expect(host.log).toContain('remove tmp 4096');
    await closeBackend(image);
    expect(host.openFiles.size).toBe(0);
  });

  it('fails clearly without a driver for overlays', async () => {
    const { loop, drivers } = host.context;
    const request = {
      filename: 'x',
      options: new Options([['driver', 'raw']]),
      flags: Open.READ_WRITE | Open.SNAPSHOT,
    };
    await expect(openBackend(new GraphContext({ loop, drivers }), request)).rejects.toThrow(
      'Snapshot mode needs the qcow2 driver, which is not available',
    );
    expect(host.openFiles.size).toBe(0);
  });
});
