/** The commands, in order: options, numbers, reports, refusals. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { defaultCompat } from '../../src/block/compat.ts';
import { Open } from '../../src/block/flags.ts';
import { Errno } from '../../src/util/errno.ts';
import { testShell } from '../helpers/shell.ts';
import { useFolder } from '../helpers/sandbox.ts';

describe('before a command runs', () => {
  it('says that a command does not exist', async () => {
    const shell = await testShell();
    expect(await shell.run('nosuch 1')).toBe(-Errno.EINVAL);
    expect(shell.err()).toBe('command "nosuch" not found\n');
  });

  it('refuses commands that need a file before it counts their words', async () => {
    const shell = await testShell(null);
    expect(await shell.run('read')).toBe(-Errno.EINVAL);
    expect(shell.err()).toBe("no file open, try 'help open'\n");
  });

  it.each([
    ['r 1', 'bad argument count 1 to r, expected at least 2 arguments\n'],
    ['flush 1', 'bad argument count 1 to flush, expected 0 arguments\n'],
    ['break a', 'bad argument count 1 to break, expected 2 arguments\n'],
    ['t', 'bad argument count 0 to t, expected between 1 and 3 arguments\n'],
  ])('counts the words of %j', async (line, expected) => {
    const shell = await testShell();
    expect(await shell.run(line)).toBe(-Errno.EINVAL);
    expect(shell.err()).toBe(expected);
  });

  it('asks for the permissions of the command once, and fails with what the driver says', async () => {
    const shell = await testShell({}, { name: 'locked' });
    expect(await shell.run('truncate 2M')).toBe(-Errno.EAGAIN);
    expect(shell.err()).toBe('qemu-io: Failed to get "resize" lock\n');
    expect(await shell.run('write -q 0 512')).toBe(0);
  });

  it('is silent about an empty line', async () => {
    const shell = await testShell();
    expect(await shell.run('   ')).toBe(0);
    expect(shell.out() + shell.err()).toBe('');
  });
});

describe('read and write', () => {
  it('report what they did', async () => {
    const shell = await testShell();
    expect(await shell.run('write -P 0xaa 1k 1.5k')).toBe(0);
    expect(shell.out()).toBe('wrote 1536/1536 bytes at offset 1024\n1.500 KiB, 1 ops; TIME\n');
    expect(
      shell
        .image()
        .subarray(1024, 2560)
        .every((byte) => byte === 0xaa),
    ).toBe(true);
    expect(shell.image()[1023]).toBe(0);
    expect(shell.image()[2560]).toBe(0);
    expect(await shell.run('read -P 0xaa 1k 1.5k')).toBe(0);
    expect(shell.out()).toBe('read 1536/1536 bytes at offset 1024\n1.500 KiB, 1 ops; TIME\n');
  });

  it('report in one line with -C', async () => {
    const shell = await testShell();
    await shell.run('read -C 0 512');
    expect(shell.out()).toBe('512,1,0:00:00.00,inf,inf\n');
  });

  it('dump with -v, and say nothing with -q', async () => {
    const shell = await testShell();
    await shell.run('write -qP 65 16 4');
    await shell.run('read -qv 0 512');
    expect(shell.out()).toBe('');
    await shell.run('read -v 10 16');
    expect(shell.out()).toMatch(
      /^0000000a: {2}00 00 00 00 00 00 41 41 41 41 00 00 00 00 00 00 {2}\.{6}AAAA\.{6}\nread 16/,
    );
  });

  it('verify a part of the data, and fail but report when it differs', async () => {
    const shell = await testShell();
    await shell.run('write -q -P 7 512 512');
    expect(await shell.run('read -q -P 7 -s 512 -l 512 0 2k')).toBe(0);
    expect(await shell.run('read -P 7 -s 100 0 1k')).toBe(-Errno.EINVAL);
    expect(shell.out()).toBe(
      'Pattern verification failed at offset 100, 924 bytes\nread 1024/1024 bytes at offset 0\n1 KiB, 1 ops; TIME\n',
    );
  });

  it.each([
    [
      'read -s 1 0 5',
      'read [-abCqv] [-P pattern [-s off] [-l len]] off len -- reads a number of bytes at a specified offset\n',
    ],
    ['read -P 0 -s 1 -l 5 0 5', 'pattern verification range exceeds end of read data\n'],
    ['read -P 0 -s 8000P 0 5', 'pattern verification range exceeds end of read data\n'],
    ['read -P 256 0 1', '256 is not a valid pattern byte\n'],
    ['read 0 4G', 'length cannot exceed 2147483136, given 4G\n'],
    ['read -b 1 1', "1 is not a sector-aligned value for 'offset'\n"],
    ['read -b 9223372036854775807 512', "9223372036854775807 is not a sector-aligned value for 'offset'\n"],
    ['read -b 0 1', "1 is not a sector-aligned value for 'count'\n"],
    ['read -b 0 512', 'read failed: Operation not supported\n'],
    ['read 1M 1', 'read failed: Input/output error\n'],
    ['read 4E 0', 'read failed: Input/output error\n'],
    ['write -b -z 0 1', '-b and -z cannot be specified at the same time\n'],
    ['write -f -c 0 1', '-f and -b or -c cannot be specified at the same time\n'],
    ['write -n 0 1', '-n requires -z to be specified\n'],
    ['write -u 0 1', '-u requires -z to be specified\n'],
    ['write -P 1 -s x 0 1', 'Only one of -z, -P, and -s can be specified at the same time\n'],
    ['write -z 0 4G', 'length cannot exceed 2147483136 without -n, given 4G\n'],
    ['write -z -n 0 4G', 'write failed: Input/output error\n'],
    ['write -c 0 512', 'write failed: Operation not supported\n'],
    ['readv 0 5 4G', "Argument '4G' exceeds maximum size 2147483136\n"],
    ['readv 0 1G 1.5G', 'The total number of bytes exceed the maximum size 2147483136\n'],
    ['readv 0 99999999999999999999', 'Parsing error: argument too large -- 99999999999999999999\n'],
    ['readv 1M 1', 'readv failed: Input/output error\n'],
    ['writev 0 x', 'Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- x\n'],
    ['aio_write -u 0 1', '-u requires -z to be specified\n'],
    ['aio_write -z 0 1 1', '-z supports only a single length parameter\n'],
    ['discard 0 4G', 'length cannot exceed 2147483136, given 4G\n'],
    ['discard 1M 1', 'discard failed: Input/output error\n'],
    ['sleep abc', 'abc is not a valid number\n'],
    ['sleep -1', '-1 is not a valid number\n'],
    ['sigraise 66', "signal argument '66' is too large to be a valid signal\n"],
    ['truncate -m off xyz', 'Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- -m\n'],
    ['break nosuch A', 'Could not set breakpoint: No such file or directory\n'],
    ['resume A', 'Could not resume request: No such file or directory\n'],
    ['remove_break A', 'Could not remove breakpoint A: No such file or directory\n'],
    ['help nosuch', 'command nosuch not found\n'],
    ['bail maybe', 'bail takes on or off, not maybe\n'],
  ])('%j is refused', async (line, expected) => {
    const shell = await testShell();
    expect(await shell.run(line)).toBeLessThan(0);
    expect(shell.out()).toBe(expected);
    expect(shell.err()).toBe('');
    expect(shell.session.exitStatus).toBe(1);
  });

  it('names the command as typed when an option is wrong, and shows its usage', async () => {
    const shell = await testShell();
    expect(await shell.run('w -x 0 1')).toBe(-Errno.EINVAL);
    expect(shell.err()).toBe("w: invalid option -- 'x'\n");
    expect(shell.out()).toBe(
      'write [-bcCfnquz] [-P pattern | -s source_file] off len -- writes a number of bytes at a specified offset\n',
    );
  });

  it('takes hexadecimal numbers with a suffix, with a warning', async () => {
    const shell = await testShell();
    expect(await shell.run('read -q 0x1k 1')).toBe(0);
    expect(shell.err()).toBe('qemu-io: warning: Using a multiplier suffix on hex numbers is deprecated: 0x1k\n');
  });

  it('do not write to an image that is read-only', async () => {
    const shell = await testShell({}, { flags: 0 });
    expect(await shell.run('write 0 512')).toBe(-Errno.EPERM);
    expect(shell.err()).toBe('qemu-io: Block node is read-only\n');
  });
});

describe('write -s', () => {
  const folder = useFolder();
  beforeAll(() => {
    writeFileSync(path.join(folder, 'abc'), 'abc');
    writeFileSync(path.join(folder, 'empty'), '');
  });

  it('repeats the file until the range is full', async () => {
    const shell = await testShell();
    expect(await shell.run(`write -q -s ${folder}/abc 1 10`)).toBe(0);
    expect(shell.image().subarray(0, 12).toString('latin1')).toBe('\0abcabcabca\0');
  });

  it('takes no more of the file than it needs', async () => {
    const shell = await testShell();
    expect(await shell.run(`write -q -s ${folder}/abc 0 2`)).toBe(0);
    expect(shell.image().subarray(0, 3).toString('latin1')).toBe('ab\0');
  });

  it.each([
    ['nosuch', 'No such file or directory'],
    ['', 'Is a directory'],
    ['empty', 'file is empty'],
  ])('refuses %j', async (name, expected) => {
    const shell = await testShell();
    expect(await shell.run(`write -s ${folder}/${name} 0 512`)).toBe(-Errno.EINVAL);
    expect(shell.err()).toBe(`${folder}/${name}: ${expected}\n`);
    expect(shell.out()).toBe('');
  });
});

describe('the image as a whole', () => {
  it('has a length that truncate changes', async () => {
    const shell = await testShell();
    await shell.run('length');
    expect(await shell.run('truncate -m off 1.5M')).toBe(0);
    await shell.run('l');
    expect(shell.out()).toBe('1 MiB\n1.500 MiB\n');
  });

  it.each([
    ['truncate 4611686018427387904', 'Could not resize file: File too large'],
    ['truncate 9223372035781033984', 'Could not resize file: File too large'],
    ['truncate 9223372036854775807', 'offset(9223372036854775807) exceeds maximum(9223372035781033984)'],
    ['truncate -m most 1', "Invalid preallocation mode 'most'"],
  ])('%s says why not', async (line, expected) => {
    const shell = await testShell();
    expect(await shell.run(line)).toBeLessThan(0);
    expect(shell.err()).toBe(`qemu-io: ${expected}\n`);
  });

  it('shows its allocation', async () => {
    const shell = await testShell();
    await shell.run('write -q 64k 8k');
    await shell.run('map');
    expect(shell.out()).toBe('1 MiB (0x100000) bytes     allocated at offset 0 bytes (0x0)\n');
    await shell.run('alloc 1023.5k 2k');
    await shell.run('alloc 0');
    await shell.run('alloc 2M');
    await shell.run('alloc 8191P 5');
    expect(shell.out()).toBe(
      '512/512 bytes allocated at offset 1023.500 KiB\n512/512 bytes allocated at offset 0 bytes\n' +
        '0/0 bytes allocated at offset 2 MiB\n0/0 bytes allocated at offset 7.999 EiB\n',
    );
  });

  it('is described by info', async () => {
    const shell = await testShell();
    expect(await shell.run('info')).toBe(0);
    expect(shell.out()).toBe('format name: raw\ncluster size: 0 bytes\nvm state offset: 0 bytes\n');
  });
});

describe('open, close and reopen', () => {
  it('open one image at a time', async () => {
    const shell = await testShell();
    expect(await shell.run('open -o driver=raw disk')).toBe(-Errno.EINVAL);
    expect(shell.err()).toBe("qemu-io: file open already, try 'help close'\n");
    expect(await shell.run('close')).toBe(0);
    expect(await shell.run('open -o driver=raw disk')).toBe(0);
    expect(await shell.run('read -q 0 512')).toBe(0);
    expect(shell.out() + shell.err()).toBe('');
  });

  it.each([
    ['open nosuch', "can't open device nosuch: Could not open 'nosuch': No such file or directory"],
    ['open -o driver=nosuch', "can't open: Unknown driver 'nosuch'"],
    ['open -t x disk', 'Invalid cache option: x'],
    ['open -d x disk', 'Invalid discard option: x'],
    ['open -i x disk', 'Invalid aio option: x'],
    ['open -U -o force-share=off,driver=raw disk', '-U conflicts with image options'],
  ])('%s says why not', async (line, expected) => {
    const shell = await testShell(null);
    expect(await shell.run(line)).toBe(-Errno.EINVAL);
    expect(shell.err()).toBe(`qemu-io: ${expected}\n`);
    expect(shell.session.backend).toBeNull();
  });

  it('shows the usage for two names', async () => {
    const shell = await testShell(null);
    expect(await shell.run('open a b')).toBe(-Errno.EINVAL);
    expect(shell.out()).toMatch(/^open \[-rsCnkU\]/);
  });

  it('merge the options of several -o', async () => {
    const shell = await testShell(null);
    expect(await shell.run('open -o driver=raw,size=512 -o size=1024 disk')).toBe(0);
    await shell.run('length');
    expect(shell.out()).toBe('1 KiB\n');
  });

  it('change between reading and writing', async () => {
    const shell = await testShell();
    expect(await shell.run('reopen -r')).toBe(0);
    expect(await shell.run('write -q 0 512')).toBeLessThan(0);
    shell.err();
    expect(await shell.run('reopen -w')).toBe(0);
    expect(await shell.run('write -q 0 512')).toBe(0);
    expect(shell.out() + shell.err()).toBe('');
  });

  it('change the cache mode', async () => {
    const shell = await testShell({}, { writethrough: true });
    expect(shell.session.image.writeCacheEnabled).toBe(false);
    expect(await shell.run('reopen -c unsafe')).toBe(0);
    expect(shell.session.image.writeCacheEnabled).toBe(true);
    expect(shell.session.top.openFlags & Open.NO_FLUSH).not.toBe(0);
  });

  it.each([
    ['reopen -c x', 'Invalid cache option: x'],
    ['reopen -r -w', 'Only one -r/-w option may be given'],
    ['reopen -r -o read-only=on', "Cannot set both -r/-w and 'read-only'"],
    ['reopen -c none -o cache.direct=on', 'Cannot set both -c and the cache options'],
    ['reopen -o nosuch=1', "Cannot change the option 'nosuch'"],
  ])('%s says why not', async (line, expected) => {
    const shell = await testShell();
    expect(await shell.run(line)).toBe(-Errno.EINVAL);
    expect(shell.err()).toBe(`qemu-io: ${expected}\n`);
  });

  it('shows the usage of reopen for an operand', async () => {
    const shell = await testShell();
    expect(await shell.run('reopen x')).toBe(-Errno.EINVAL);
    expect(shell.out()).toBe('reopen [(-r|-w)] [-c cache] [-o options] -- reopens an image with new options\n');
  });
});

describe('help', () => {
  it('lists every command of qemu-io 7.2 as it does, and ours', async () => {
    const shell = await testShell(null);
    expect(await shell.run('help')).toBe(0);
    const lines = shell.out().split('\n');
    expect(lines).toContain('map  -- prints the allocated areas of a file');
    expect(lines).toContain('length -- gets the length of the current file');
    expect(lines.slice(-3)).toEqual(['', "Use 'help commandname' for extended help.", '']);
    const names = lines.slice(0, -3).map((line) => line.split(' ')[0] ?? '');
    expect(names).toEqual(names.toSorted((a, b) => (a < b ? -1 : 1)));
    const qemuIo =
      'abort aio_flush aio_read aio_write alloc break close discard flush help info length map open quit read readv ' +
      'remove_break reopen resume sigraise sleep truncate wait_break write writev';
    const ours =
      'aio_discard back bail cancel check checkpoint commit compare create diff display dump events export goto live nodes on record poke repeat requests rule rules snapshot source state step suspended until ' +
      'watch where who';
    expect(names).toEqual(`${qemuIo} ${ours}`.split(' ').toSorted());
  });

  it('shows the name as typed', async () => {
    const shell = await testShell(null);
    await shell.run('? a');
    expect(shell.out()).toBe('a offset [count] -- checks if offset is allocated in the file\n');
  });

  it('has a line for every option that a command takes', async () => {
    const shell = await testShell(null);
    for (const command of shell.session.shell.commands.all) {
      if (command.options === undefined) continue;
      await shell.run(`help ${command.name}`);
      const shown = [...shell.out().matchAll(/^ -(.) {2}\S/gm)].map(([, letter]) => letter);
      const letters = command.options.letters(defaultCompat).replaceAll(':', '').split('');
      if (command.help !== undefined) expect(new Set(shown), command.name).toEqual(new Set(letters));
    }
  });
});
