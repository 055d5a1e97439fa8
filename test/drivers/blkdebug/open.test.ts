/** Opening blkdebug: names, config files, limits and permissions. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { BlockError } from '../../../src/block/error.ts';
import { Open, Perm, Req } from '../../../src/block/flags.ts';
import { closeBackend } from '../../../src/block/graph/graph.ts';
import { EventLoop } from '../../../src/block/loop/loop.ts';
import type { BlockNode } from '../../../src/block/graph/node.ts';
import { GraphContext } from '../../../src/block/graph/context.ts';
import { openBackend } from '../../../src/block/open/open.ts';
import { Options, type OptionValue } from '../../../src/block/options/options.ts';
import { refreshFilename } from '../../../src/block/graph/refresh-filename.ts';
import { reopenNode } from '../../../src/block/open/reopen.ts';
import type { Driver } from '../../../src/block/driver.ts';
import { blkdebug } from '../../../src/drivers/blkdebug/name.ts';
import type { BlkdebugNode } from '../../../src/drivers/blkdebug/state.ts';
import { Errno } from '../../../src/util/errno.ts';
import { useFolder } from '../../helpers/sandbox.ts';
import { DriverTable } from '../../../src/block/open/driver-table.ts';

/** A protocol driver that stands for files: names that begin with "no" do not exist. */
const storage: Driver<null> = {
  formatName: 'file',
  protocolName: 'file',
  needsFilename: true,
  async open(node, options) {
    const filename = options.getString('filename') ?? '';
    options.delete('filename');
    if (filename.startsWith('no')) throw new BlockError(Errno.ENOENT, `Could not open '${filename}': gone`);
    node.state = null;
    node.supportedWriteFlags = Req.FUA;
    node.supportedZeroFlags = Req.MAY_UNMAP;
  },
  async reopenPrepare() {},
  getLength: () => 1 << 20,
  refreshLimits(node) {
    node.limits.requestAlignment = 512;
  },
  async preadv() {},
};

const folder = useFolder();

type Given = Record<string, OptionValue>;

/** Opens blkdebug with these options, or by a name, hands its node to `look`, and closes it. */
async function withOpen(given: Given | string, look: (node: BlkdebugNode, loop: EventLoop) => Promise<void> | void) {
  const loop = new EventLoop();
  const context = new GraphContext({ loop, drivers: new DriverTable([blkdebug, storage]) });
  const [filename, options] =
    typeof given === 'string'
      ? [given, null]
      : [
          null,
          new Options(
            Object.entries({ driver: 'blkdebug', 'image.driver': 'file', 'image.filename': 'img', ...given }),
          ),
        ];
  let failure: unknown;
  await loop.run('open', async () => {
    try {
      const flags = Open.READ_WRITE | (filename === null ? 0 : Open.PROTOCOL);
      const backend = await openBackend(context, { filename, options, flags });
      await look(backend.top as BlockNode as BlkdebugNode, loop);
      await closeBackend(backend);
    } catch (error) {
      failure = error;
    }
  });
  if (failure !== undefined) throw failure;
}

describe('opening blkdebug', () => {
  it('passes on what its child supports', () =>
    withOpen({}, (node) => {
      expect(node.supportedWriteFlags).toBe(Req.WRITE_UNCHANGED | Req.FUA);
      expect(node.supportedZeroFlags).toBe(Req.WRITE_UNCHANGED | Req.MAY_UNMAP);
      expect(node.getLength()).toBe(1 << 20);
    }));

  it('puts its limits in the place of the child’s', () =>
    withOpen({ align: '4k', 'max-transfer': '8k' }, (node) => {
      expect(node.limits).toMatchObject({ requestAlignment: 4096, maxTransfer: 8192 });
    }));

  it('checks limits against the alignment of the child', async () => {
    await expect(withOpen({ 'max-transfer': 256 }, () => {})).rejects.toThrow(
      'Cannot meet constraints with max-transfer 256',
    );
  });

  it('fires the event "none" at its end, and no other', () =>
    withOpen({ 'set-state.0.event': 'none', 'set-state.0.new_state': 2 }, (node) => {
      expect(node.state.rules.state).toBe(2);
    }));

  it('takes permissions on its child, and refuses to share them', () =>
    withOpen({ 'take-child-perms.0': 'resize', 'unshare-child-perms.0': 'write' }, (node) => {
      expect((node.file?.perm ?? 0) & Perm.RESIZE).toBe(Perm.RESIZE);
      expect((node.file?.shared ?? 0) & Perm.WRITE).toBe(0);
    }));

  it('needs an image', async () => {
    await expect(withOpen({ 'image.driver': null, 'image.filename': null }, () => {})).rejects.toThrow(BlockError);
  });

  it('reports mistakes in the order of QEMU: types, config file, rules, permissions, image, limits', async () => {
    const config = path.join(folder, 'bad.conf');
    writeFileSync(config, '[foo]\n');
    const mistakes: [Given, string][] = [
      [{ 'max-discard': 3 }, 'Cannot meet constraints with max-discard 3'],
      [{ align: 3 }, 'Cannot meet constraints with align 3'],
      [{ 'image.filename': 'none' }, "Could not open 'none': gone"],
      [{ 'unshare-child-perms.0': 'x' }, "Parameter 'null' does not accept value 'x'"],
      [{ 'take-child-perms.1': 'x' }, 'List indices are not contiguous, saw 1 elements but 1 largest index'],
      [{ 'inject-error.0.event': 'x' }, 'invalid parameter value: x'],
      [{ 'set-state.0.state': 'x' }, "Parameter 'state' expects a number"],
      [{ config }, "There is no option group 'foo'"],
      [{ 'opt-discard': 'x' }, "Parameter 'opt-discard' expects a non-negative number below 2^64"],
    ];
    let given: Given = {};
    for (const [mistake, message] of mistakes) {
      given = { ...given, ...mistake };
      await expect(withOpen(given, () => {})).rejects.toThrow(message);
    }
  });

  it('refuses options that it does not know', async () => {
    await expect(withOpen({ foo: 'x' }, () => {})).rejects.toThrow(
      "Block protocol 'blkdebug' doesn't support the option 'foo'",
    );
  });

  it('can be done by a file name', async () => {
    const config = path.join(folder, 'one.conf');
    writeFileSync(config, '[inject-error]\nevent = "none"\n');
    await withOpen(`blkdebug:${config}:img`, (node) => {
      expect(node.state.rules.count).toBe(1);
      expect(node.file?.node.filename).toBe('img');
    });
    await withOpen('blkdebug::img', (node) => {
      expect(node.state.rules.count).toBe(0);
    });
  });
});

describe('the name of a blkdebug node', () => {
  const nameOf = async (given: Given | string) => {
    let name = '';
    await withOpen(given, (node) => {
      refreshFilename(node);
      name = node.filename;
    });
    return name;
  };

  it('is a plain one if that says everything', async () => {
    const config = path.join(folder, 'empty.conf');
    writeFileSync(config, '');
    expect(await nameOf({ config })).toBe(`blkdebug:${config}:img`);
    expect(await nameOf('blkdebug::img')).toBe('blkdebug::img');
    expect(await nameOf({ 'take-child-perms.0': 'resize' })).toBe('blkdebug::img');
  });

  it('lists the options otherwise', async () => {
    expect(await nameOf({ align: 512 })).toMatch(/^json:\{.*"align": 512/);
    expect(await nameOf({ 'inject-error.0.event': 'none' })).toMatch(/^json:\{.*"inject-error.0.event": "none"/);
  });

  it('lists them also if it would be too long', async () => {
    expect((await nameOf({ 'image.filename': 'x'.repeat(4086) })).slice(0, 5)).toBe('json:');
    expect((await nameOf({ 'image.filename': 'x'.repeat(4085) })).slice(0, 9)).toBe('blkdebug:');
  });
});

describe('reopening', () => {
  it('is allowed with the options as they are', () =>
    withOpen({ align: 512 }, async (node) => {
      await reopenNode(node, new Options([['detect-zeroes', 'on']]), true);
      expect(node.detectZeroes).toBe('on');
      expect(node.limits.requestAlignment).toBe(512);
    }));

  it('cannot change rules', () =>
    withOpen({ align: 512 }, async (node) => {
      await expect(reopenNode(node, new Options([['align', 1024]]), true)).rejects.toThrow(
        "Cannot change the option 'align'",
      );
    }));
});
