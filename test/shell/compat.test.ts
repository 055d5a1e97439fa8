/** Changes of newer versions of qemu-io in the shell: commands, letters, usage lines, refusals (as in 10.2.50). */
import { describe, expect, it } from 'vitest';
import { Compat, compatOf, newestCompat } from '../../src/block/compat.ts';
import { Errno } from '../../src/util/errno.ts';
import { testShell } from '../helpers/shell.ts';

describe('a version of QEMU', () => {
  it('is one of those that are known', () => {
    expect(compatOf('10.2').version).toBe('10.2');
    expect(() => compatOf('9.0')).toThrow('There is no behaviour of QEMU 9.0 here; the versions are 7.2 and 10.2');
  });

  it('has the changes up to it', () => {
    expect(new Compat('7.2').has('zones')).toBe(false);
    expect(newestCompat.has('zones')).toBe(true);
  });
});

describe('in 7.2', () => {
  it.each(['zone_report 0 1', 'zo 0 1M', 'zap -p 0 512'])('%j is no command', async (line) => {
    const shell = await testShell();
    expect(await shell.run(line)).toBe(-Errno.EINVAL);
    expect(shell.err()).toBe(`command "${line.split(' ', 1)[0]}" not found\n`);
  });

  it.each(['read', 'readv', 'write', 'writev', 'aio_read', 'aio_write'])('%s has no -r', async (name) => {
    const shell = await testShell();
    expect(await shell.run(`${name} -r 0 512`)).toBe(-Errno.EINVAL);
    expect(shell.err()).toBe(`${name}: invalid option -- 'r'\n`);
  });
});

describe('in 10.2', () => {
  it.each([
    ['zone_report 0 1', 'zone report failed: Operation not supported\n'],
    ['zone_report 0 4294967296', 'Number of zones must be less than 2^32\n'],
    ['zo 0 1M', 'zone open failed: Operation not supported\n'],
    ['zone_close 0 2M', 'zone close failed: Input/output error\n'],
    ['zap -p 0 512', 'zone append failed: Operation not supported\n'],
    ['read -r -b 0 512', 'I/O buffer registration is not supported when reading from vmstate\n'],
    ['write -r -z 0 512', 'cannot combine zero write with registered I/O buffer\n'],
    ['aio_write -r -z 0 512', 'cannot combine zero write with registered I/O buffer\n'],
  ])('%j is refused', async (line, expected) => {
    const shell = await testShell({}, { compat: newestCompat });
    expect(await shell.run(line)).toBeLessThan(0);
    expect(shell.out()).toBe(expected);
    expect(shell.err()).toBe('');
  });

  it.each([
    ['read', '[-abCqrv] [-P pattern [-s off] [-l len]] off len'],
    ['readv', '[-Cqrv] [-P pattern] off len [len..]'],
    ['write', '[-bcCfnqruz] [-P pattern | -s source_file] off len'],
    ['writev', '[-Cfqr] [-P pattern] off len [len..]'],
    ['aio_read', '[-Ciqrv] [-P pattern] off len [len..]'],
    ['aio_write', '[-Cfiqruz] [-P pattern] off len [len..]'],
  ])('the usage line of %s has -r, and it changes nothing that is seen', async (name, usage) => {
    const shell = await testShell({}, { compat: newestCompat });
    await shell.run(`${name} -x 0 512`);
    expect(shell.out()).toContain(`${name} ${usage} -- `);
    shell.err();
    expect(await shell.run(`${name} -r 0 512`)).toBe(0);
    await shell.run('aio_flush');
    expect(shell.out()).toMatch(/^(read|wrote) 512\/512 bytes at offset 0\n/);
    expect(shell.err()).toBe('');
  });
});
