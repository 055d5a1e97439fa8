/** Encrypted images and exports beside `qemu-img create`: the same words and bytes but for keys; both are opened. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { blkscope, type Program, runProgram } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';

const object = ['--object', 'secret,id=s0,data=hello'];
const qemuImg: Program = { command: 'qemu-img', args: [] };
const qemuIo: Program = { command: 'qemu-io', args: [] };

interface Made {
  readonly said: string;
  readonly exit: string;
}

async function create(ours: boolean, folder: string, words: readonly string[]): Promise<Made> {
  const args = ours ? [...object, '-c', ['create', ...words].join(' ')] : ['create', ...object, ...words];
  const { stdout, stderr, exit } = await runProgram(ours ? blkscope : qemuImg, args, { cwd: folder });
  const said = `${stdout}${stderr}`.replaceAll(/^qemu-(io|img): /gm, 'PROGRAM: ').trimEnd();
  // It has measured too little time; blkscope measures on.
  if (said.includes('Unable to get accurate CPU usage')) return create(ours, folder, words);
  return { said, exit };
}

/** A file without what is drawn or measured: digest, salts, counts, UUID and key material of a LUKS header in it. */
function masked(file: string): Buffer {
  const bytes = readFileSync(file);
  const at = bytes.indexOf(Buffer.from('LUKS\xba\xbe\0\x01', 'latin1'));
  if (at < 0) return bytes;
  const keyBytes = bytes.readUInt32BE(at + 108);
  bytes.fill(0, at + 112, at + 208);
  bytes.fill(0, at + 212, at + 248);
  bytes.fill(0, at + 4096, at + 4096 + keyBytes * 4000);
  return bytes;
}

const luks = 'key-secret=s0,iter-time=100';
const fixed = [
  `-f luks -o ${luks} new.img 1M`,
  `-f luks -o ${luks} new.img 1000`,
  `-f luks -o ${luks},preallocation=full new.img 100k`,
  `-f luks -o ${luks},preallocation=foo new.img 100k`,
  `-f luks -o ${luks},cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,hash-alg=sha1 new.img 1M`,
  `-f luks -o ${luks},cipher-mode=cbc,ivgen-alg=plain,hash-alg=sha512 new.img 1M`,
  `-f luks -o ${luks},cipher-mode=ctr,ivgen-hash-alg=md5 new.img 1M`,
  '-f luks new.img 1M',
  '-f luks -o key-secret=s9 new.img 1M',
  '-f luks -o key-secret=s0,cipher-alg=foo new.img 1M',
  '-f luks -o key-secret=s0,cipher-mode=foo new.img 1M',
  '-f luks -o key-secret=s0,ivgen-alg=foo new.img 1M',
  '-f luks -o key-secret=s0,iter-time=x new.img 1M',
  `-f luks -o ${luks} new.img`,
  `-f luks -o ${luks} nowhere/new.img 1M`,
  '-f luks -b base.raw -F raw new.img 1M',
  ...['cluster_size=64k', 'cluster_size=512', 'compat=0.10', 'preallocation=metadata', 'data_file=data'].map(
    (option) => `-f qcow2 -o encrypt.format=luks,encrypt.key-secret=s0,encrypt.iter-time=100,${option} new.img 1M`,
  ),
  '-f qcow2 -o encrypt.format=luks,encrypt.key-secret=s0,encrypt.iter-time=100 -b base.raw -F raw new.img 1M',
  '-f qcow2 -b old.qcow2 -F qcow2 new.img',
  '-f qcow2 -o encrypt.format=aes,encrypt.key-secret=s0 new.img 1M',
  '-f qcow2 -o encryption=on,encrypt.key-secret=s0 new.img 1M',
  '-f qcow2 -o encryption=off new.img 1M',
  '-f qcow2 -o encryption=on new.img 1M',
  '-f qcow2 -o encryption=on,encrypt.format=luks,encrypt.key-secret=s0 new.img 1M',
  '-f qcow2 -o encrypt.format=luks new.img 1M',
  '-f qcow2 -o encrypt.format=aes new.img 1M',
  '-f qcow2 -o encrypt.format=foo new.img 1M',
  '-f qcow2 -o encrypt.key-secret=s0 new.img 1M',
  '-f qcow2 -o encrypt.format=aes,encrypt.key-secret=s0,encrypt.iter-time=10 new.img 1M',
  '-f qcow2 -o encrypt.format=luks,encrypt.key-secret=s9 new.img 1M',
  '-f qcow2 -o encrypt.format=luks,encrypt.key-secret=s0,encrypt.cipher-alg=foo new.img 1M',
];

/** How an image that was made by these words is opened. */
function imageOptions(words: readonly string[]): string {
  const secret = words.includes('qcow2') ? 'encrypt.key-secret=s0' : 'key-secret=s0';
  return `driver=${words[1]},${secret},file.filename=new.img`;
}

async function io(program: Program, folder: string, words: readonly string[], command: string): Promise<string> {
  const args = [...object, '--image-opts', imageOptions(words), '-c', command];
  const { stdout, stderr } = await runProgram(program, args, { cwd: folder });
  return (stdout + stderr).replaceAll(/; .* ops\/sec\)/g, '');
}

describe('create with encryption', { timeout: 120_000 }, () => {
  it.each(fixed)('%s', async (line) => {
    const words = line.split(' ');
    const [theirs, ours] = [new Sandbox(), new Sandbox()];
    try {
      for (const { folder } of [theirs, ours]) {
        writeFileSync(path.join(folder, 'base.raw'), Buffer.alloc(1 << 20, 7));
        await create(false, folder, [
          '-q',
          '-f',
          'qcow2',
          '-o',
          'encryption=on,encrypt.key-secret=s0',
          'old.qcow2',
          '1M',
        ]);
      }
      const [made, expected] = [await create(true, ours.folder, words), await create(false, theirs.folder, words)];
      expect(made).toEqual(expected);
      expect(readdirSync(ours.folder).toSorted()).toEqual(readdirSync(theirs.folder).toSorted());
      const image = path.join(ours.folder, 'new.img');
      if (!existsSync(image)) return;
      const [own, other] = [masked(image), masked(path.join(theirs.folder, 'new.img'))];
      expect(own.length).toBe(other.length);
      expect(own.findIndex((byte, at) => byte !== other[at])).toBe(-1);
      if (!line.includes('key-secret')) return;
      // Each program reads what the other one has written into what that has made.
      const isShort = line.endsWith(' 1000');
      const write = `write -P 0x5a 0 ${isShort ? 512 : '32k'}`;
      const read = write.replace('write', 'read');
      const wrote = await io(qemuIo, ours.folder, words, write);
      expect(await io(blkscope, ours.folder, words, read)).toBe(wrote.replace('wrote', 'read'));
      expect(await io(blkscope, theirs.folder, words, write)).toBe(wrote);
      expect(await io(qemuIo, theirs.folder, words, read)).toBe(wrote.replace('wrote', 'read'));
      if (words[1] === 'luks' && !line.includes('md5')) {
        writeFileSync(path.join(ours.folder, 'pass'), 'hello');
        const open = ['open', '--test-passphrase', '--key-file', path.join(ours.folder, 'pass'), image];
        execFileSync('cryptsetup', open, { stdio: 'pipe' });
      }
    } finally {
      theirs.remove();
      ours.remove();
    }
  });

  it('keys that do not fill a sector with their stripes are made, where QEMU 7.2 aborts', async () => {
    const sandbox = new Sandbox();
    try {
      const words = `-f luks -o ${luks},cipher-alg=aes-192,cipher-mode=cbc new.img 1M`.split(' ');
      expect((await create(true, sandbox.folder, words)).exit).toBe('0');
      writeFileSync(path.join(sandbox.folder, 'pass'), 'hello');
      const open = ['open', '--test-passphrase', '--key-file', path.join(sandbox.folder, 'pass')];
      execFileSync('cryptsetup', [...open, path.join(sandbox.folder, 'new.img')], { stdio: 'pipe' });
      expect(await io(blkscope, sandbox.folder, words, 'read 0 4k')).toContain('read 4096/4096');
    } finally {
      sandbox.remove();
    }
  });

  it('luksFormat of cryptsetup is opened', async () => {
    const sandbox = new Sandbox();
    try {
      const image = path.join(sandbox.folder, 'new.img');
      writeFileSync(image, Buffer.alloc(4 << 20));
      writeFileSync(path.join(sandbox.folder, 'pass'), 'hello');
      const format = ['luksFormat', '-q', '--type', 'luks1', '--pbkdf-force-iterations', '1000'];
      execFileSync('cryptsetup', [...format, image, path.join(sandbox.folder, 'pass')], { stdio: 'pipe' });
      expect(await io(blkscope, sandbox.folder, ['-f', 'luks'], 'read 0 4k')).toContain('read 4096/4096');
    } finally {
      sandbox.remove();
    }
  });
});

const overNbd = [
  '-f raw URI 4M',
  '-f raw URI 1M',
  '-f raw URI 8M',
  '-f raw URI',
  '-f raw -o preallocation=full URI 1M',
  '-f raw -o preallocation=off URI 1M',
  '-f qcow2 URI 64M',
  '-f qcow2 -o preallocation=metadata URI 1M',
  `-f luks -o ${luks} URI 1M`,
  '-f raw nbd:unix:nowhere 1M',
  '-f qcow2 nbd:unix:nowhere 1M',
  '-f raw null-co:// 1M',
  '-f raw blkdebug::base.raw 1M',
];

describe('create over NBD', { timeout: 120_000 }, () => {
  it.each(overNbd)('%s', async (line) => {
    const outcomes: { made: Made; bytes: Buffer }[] = [];
    for (const ours of [false, true]) {
      const sandbox = new Sandbox();
      const file = path.join(sandbox.folder, 'disk.raw');
      const socket = path.join(sandbox.folder, 's');
      writeFileSync(file, Buffer.alloc(4 << 20, 0xaa));
      const server = spawn('qemu-nbd', ['-f', 'raw', '-k', socket, '-t', '-x', '', file], { stdio: 'ignore' });
      try {
        while (!existsSync(socket)) await sleep(20);
        const uri = `nbd+unix:///?socket=${socket}`;
        const { said, exit } = await create(ours, sandbox.folder, line.replace('URI', uri).split(' '));
        outcomes.push({ made: { said: said.replaceAll(uri, 'URI'), exit }, bytes: masked(file) });
      } finally {
        server.kill();
        sandbox.remove();
      }
    }
    const [theirs, ours] = outcomes;
    expect(ours?.made).toEqual(theirs?.made);
    expect(ours?.bytes.findIndex((byte, at) => byte !== theirs?.bytes[at])).toBe(-1);
  });
});
