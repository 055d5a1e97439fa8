/** The command line: qemu-io's options with getopt's messages, and our own. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { defaultCompat } from '../../src/block/compat.ts';
import { Open } from '../../src/block/flags.ts';
import { Exit, type Invocation, parseArguments } from '../../src/cli/command-line.ts';
import { useFolder } from '../helpers/sandbox.ts';

async function parse(...words: string[]): Promise<{ result: Invocation | 0 | 1; out: string; err: string }> {
  let out = '';
  let err = '';
  const result = await parseArguments(words, {
    programName: 'qemu-io',
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
  });
  if (!(result instanceof Exit)) return { result, out, err };
  return { result: result.status, out: result.wantsUsage ? usageLine + out : out, err };
}

async function accepted(...words: string[]): Promise<Invocation> {
  const { result, err } = await parse(...words);
  expect(err).toBe('');
  if (typeof result === 'number') throw new Error(`refused with status ${result}`);
  return result;
}

const usageLine = 'Usage: qemu-io [OPTIONS]... [-c STRING]... [file]\n';

describe('options', () => {
  it('come in clusters, behind the file, with and without =', async () => {
    expect(await accepted('-rU', 'a.img', '--cache=none', '-fraw', '--cmd', 'quit', '-cinfo')).toMatchObject({
      file: 'a.img',
      format: 'raw',
      commands: ['quit', 'info'],
      forceShare: true,
      flags: Open.UNMAP | Open.NO_CACHE,
      writethrough: false,
    });
  });

  it('are off at first, but for discards and write-through', async () => {
    expect(await accepted('a.img')).toEqual({
      commands: [],
      scripts: [],
      blkdebug: false,
      prompt: null,
      file: 'a.img',
      format: null,
      flags: Open.UNMAP | Open.READ_WRITE,
      writethrough: true,
      forceShare: false,
      imageOptions: false,
      objects: new Map(),
      misalign: false,
      bail: false,
      compat: defaultCompat,
      demo: false,
      sandbox: false,
      live: false,
      record: null,
      monitor: null,
      exports: [],
      once: false,
      wantsTrace: false,
    });
  });

  it.each([
    [['-s'], Open.SNAPSHOT],
    [['-n'], Open.NO_CACHE],
    [['-C'], Open.COPY_ON_READ],
    [['-k'], Open.NATIVE_AIO],
    [['-i', 'io_uring'], Open.IO_URING],
    [['-t', 'directsync'], Open.NO_CACHE],
    [['-t', 'unsafe'], Open.NO_FLUSH],
    [['-n', '-t', 'writeback'], 0],
  ])('%j sets its flags', async (words, flags) => {
    expect((await accepted(...words)).flags).toBe(Open.UNMAP | Open.READ_WRITE | flags);
  });

  it('-d ignore takes the discards away', async () => {
    expect((await accepted('-d', 'ignore')).flags & Open.UNMAP).toBe(0);
    expect((await accepted('-d', 'ignore', '--discard', 'on')).flags & Open.UNMAP).toBe(Open.UNMAP);
  });

  it('are abbreviated as in qemu-io; ours do not get in the way', async () => {
    expect((await accepted('--d=off')).flags & Open.UNMAP).toBe(0);
    expect((await parse('--c', 'x')).err).toBe(
      "qemu-io: option '--c' is ambiguous; possibilities: '--cmd' '--copy-on-read' '--cache'\n",
    );
    expect((await accepted('--bail')).bail).toBe(true);
    expect((await parse('--ba')).err).toBe("qemu-io: unrecognized option '--ba'\n");
  });
});

describe('refusals', () => {
  it.each([
    [['--bogus'], "qemu-io: unrecognized option '--bogus'\n"],
    [['-z'], "qemu-io: invalid option -- 'z'\n"],
    [['-f'], "qemu-io: option requires an argument -- 'f'\n"],
    [['--r=1'], "qemu-io: option '--read-only' doesn't allow an argument\n"],
    [['a', 'b'], ''],
  ])('%j ends in the usage with status 1', async (words, message) => {
    const { result, out, err } = await parse(...words);
    expect(result).toBe(1);
    expect(err).toBe(message);
    expect(out.startsWith(usageLine)).toBe(true);
  });

  it.each([
    [['-t', 'foo'], 'Invalid cache option: foo'],
    [['-i', 'foo'], 'Invalid aio option: foo'],
    [['-d', 'foo', '--bogus'], 'Invalid discard option: foo'],
    [['--im', '-f', 'raw', 'a'], '--image-opts and -f are mutually exclusive'],
    [['-T', 'bogus=1'], "Invalid parameter 'bogus'"],
    [['--object', 'secret'], "Parameter 'id' is missing"],
  ])('%j', async (words, message) => {
    expect(await parse(...words)).toEqual({ result: 1, out: '', err: `qemu-io: ${message}\n` });
  });

  it('an events file of --trace must be there', async () => {
    expect(await parse('-T', 'events=/nonexistent/events')).toEqual({
      result: 1,
      out: '',
      err: 'qemu-io:/nonexistent/events: No such file or directory\n',
    });
    expect((await accepted('-T', 'bdrv_*,file=x.trace')).wantsTrace).toBe(true);
  });
});

it('-h and -V print and succeed', async () => {
  const help = await parse('-r', '--h', '--bogus');
  expect(help.result).toBe(0);
  expect(help.out.startsWith(usageLine)).toBe(true);
  expect(await parse('-V')).toMatchObject({ result: 0, err: '' });
  expect((await parse('-V')).out).toMatch(/^qemu-io version 7\.2 \(blkscope .+\)\n$/);
});

describe('--object', () => {
  const folder = useFolder();
  const keyFile = path.join(folder, 'key');
  writeFileSync(keyFile, 'abc');

  it.each([
    'secret,id=x,data=abc,format=raw',
    'qom-type=secret,id=x,data=a,,b',
    'secret,id=x,data=YWJj,format=base64',
    `secret,id=x,file=${keyFile}`,
    '{"qom-type": "secret", "id": "x", "data": "a"}',
  ])('takes %s', async (definition) => {
    await accepted('--object', definition);
  });

  it.each([
    ['secret,id=x', "Either 'file' or 'data' must be provided"],
    ['secret,id=x,data=a,file=b', "'file' and 'data' are mutually exclusive"],
    ['foo,id=x', "Parameter 'qom-type' does not accept value 'foo'"],
    ['id=x', "Parameter 'qom-type' is missing"],
    ['', "Parameter 'qom-type' is missing"],
    ['secret,id', "Expected '=' after parameter 'id'"],
    ['secret,=,id=x', "Invalid parameter ''"],
    ['secret,a.b=1,id=x', "Parameter 'a' is unexpected"],
    ['secret,id=x,data=abc,bogus=1', "Parameter 'bogus' is unexpected"],
    ['secret,id=x,data=a,format=foo', "Parameter 'format' does not accept value 'foo'"],
    ['secret,id=x,data=k,keyid=foo', "No secret with id 'foo'"],
    [
      'secret,id=x,file=/nonexistent/key',
      'Unable to read /nonexistent/key: Failed to open file “/nonexistent/key”: No such file or directory',
    ],
    [
      'secret,id=1x,data=a',
      "Parameter 'id' expects an identifier\n" +
        "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.",
    ],
    ['{"qom-type":1}', "Invalid parameter type for 'qom-type', expected: string"],
    ['{"qom-type":"secret"', 'JSON parse error, premature EOI'],
    ['thread-context,id=x', "objects of type 'thread-context' do not exist in blkscope"],
  ])('refuses %s', async (definition, message) => {
    expect(await parse('--object', definition)).toEqual({ result: 1, out: '', err: `qemu-io: ${message}\n` });
  });

  it('refuses a second object of one name', async () => {
    expect((await parse('--object', 'secret,id=x,data=a', '--object', 'secret,id=x,data=b')).err).toBe(
      "qemu-io: attempt to add duplicate property 'x' to object (type 'container')\n",
    );
  });

  it('help lists names and succeeds', async () => {
    expect(await parse('--object', 'help')).toMatchObject({ result: 0, err: '' });
    expect((await parse('--object', 'secret,help')).out).toContain('  keyid=<string>\n');
  });
});
