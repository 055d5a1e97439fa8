/**
 * Encrypted images: luks volumes and qcow2 images with LUKS or AES, in each cipher, mode, generator and hash that
 * qemu-img makes and OpenSSL has.
 */
import fc from 'fast-check';
import { copyFile, readFile, truncate, writeFile } from 'node:fs/promises';
import { statSync } from 'node:fs';
import { runProgram } from '../helpers/run-program.ts';
import { makeFolder, type Sandbox } from '../helpers/sandbox.ts';
import { type ImageContent, type ImageKind, inPercent, optionString, present, type Secret } from './image-kind.ts';
import { makingOf, type Qcow2Content, qcow2Image } from './qcow2-image.ts';
import { qcow2Kind } from './qcow2-kind.ts';
import { rawKind } from './raw-kind.ts';
import type { Unit } from './unit.ts';

/** The secret of all encrypted images, for `--object`. */
export const SECRET = 'secret,id=s,data=hunter2';
const SECTOR_BYTES = 512;

/**
 * Every cipher, mode, generator and hash in some format; to make one takes long. Keys of 24 bytes only with XTS: with
 * other modes qemu-img 7.2 aborts, as a split key is no number of sectors.
 */
const formats = [
  'aes-256 xts plain64 sha256',
  'aes-256 xts essiv:sha256 sha384',
  'aes-192 xts plain64 sha512',
  'aes-128 xts plain sha1',
  'aes-256 cbc essiv:sha256 sha256',
  'aes-256 cbc plain sha224',
  'aes-128 cbc plain64 ripemd160',
  'aes-128 cbc essiv:md5 md5',
  'aes-256 ctr plain64 sha256',
  'aes-128 ctr essiv:sha256 sha256',
  'aes-256 ecb plain64 sha256',
  'aes-128 ecb essiv:md5 sha1',
] as const;
const luksFormat = fc.constantFrom(...formats);

/** A format as words for `qemu-img create -o`. */
function formatOptions(format: string): string {
  const [cipher, mode, generator = '', hash] = format.split(' ');
  const [iv, ivHash] = generator.split(':');
  const essiv = ivHash === undefined ? '' : `,ivgen-hash-alg=${ivHash}`;
  return `cipher-alg=${cipher},cipher-mode=${mode},ivgen-alg=${iv}${essiv},hash-alg=${hash}`;
}

/** qemu-img measures the processor to find how often to iterate, and gives up on a busy machine. */
const MAX_ATTEMPTS = 50;

/** Runs `qemu-img create` with these words, as often as it takes. */
export async function createEncrypted(args: readonly string[], folder: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const qemuImg = { command: 'qemu-img', args: ['create', '-q'] };
    const { stderr, exit } = await runProgram(qemuImg, args, { cwd: folder, timeoutMs: 600_000 });
    if (exit === '0') return;
    if (attempt === MAX_ATTEMPTS || !stderr.includes('accurate CPU usage'))
      throw new Error(`${args.join(' ')}: ${stderr}`);
  }
}

/** Empty volumes by their format: to make one takes long, and they differ in their keys alone. */
const volumes = new Map<string, Promise<string>>();
const volumeFolder = { path: '' };

function volumeOf(format: string): Promise<string> {
  const known = volumes.get(format);
  if (known !== undefined) return known;
  if (volumeFolder.path === '') volumeFolder.path = makeFolder();
  const file = `${volumeFolder.path}/${volumes.size}`;
  const options = [
    '--object',
    SECRET,
    '-f',
    'luks',
    '-o',
    `key-secret=s,iter-time=10,${formatOptions(format)}`,
    file,
    '0',
  ];
  const made = createEncrypted(options, volumeFolder.path).then(() => file);
  volumes.set(format, made);
  return made;
}

interface LuksContent extends ImageContent {
  readonly format: string;
}

/** Events of raw's scripts are those of its driver; what fires none itself is held where it writes. */
export function withoutFormatEvents({ lines, disturbs }: Unit): Unit {
  return {
    disturbs,
    lines: (context) => lines(context).map((line) => line.replace('break write_aio', 'break pwritev')),
  };
}

export const luksKind: ImageKind<LuksContent> = {
  switches: rawKind.switches,
  clusterBytes: () => 1,
  hasOpenOrder: () => false,
  name: 'luks',
  driver: 'luks',
  secret: { definition: SECRET, options: { 'key-secret': 's' } },
  alignBytes: SECTOR_BYTES,
  image: fc.record({
    lengthBytes: fc.oneof(
      { weight: 12, arbitrary: fc.integer({ min: 48, max: 160 }).map((n) => n * 4096) },
      { weight: 3, arbitrary: fc.nat(1000).map((n) => n * 512) },
      { weight: 1, arbitrary: fc.nat(500_000) },
      { weight: 1, arbitrary: fc.integer({ min: 300, max: 1000 }).map((n) => n * 4096) },
    ),
    format: luksFormat,
  }),
  async create(sandbox: Sandbox, { lengthBytes, format }) {
    const file = sandbox.path('disk.img');
    await copyFile(await volumeOf(format), file);
    await truncate(file, statSync(file).size + lengthBytes);
  },
  describe: ({ lengthBytes, format }) => `luks disk.img: ${lengthBytes} bytes, ${format}`,
  options: fc.record({ 'detect-zeroes': inPercent(30, fc.constantFrom('on', 'off', 'unmap')) }).map(present),
  events: rawKind.events.filter((event) => event !== 'read_aio' && event !== 'write_aio'),
  script: rawKind.script.map((units) => units.map(withoutFormatEvents)),
};

interface EncryptedContent extends Qcow2Content {
  /** Of the LUKS header; null for AES. */
  readonly luks: string | null;
}

const CRYPTO_HEADER = 0x0537be77;

/**
 * Puts a LUKS header behind the image and says so in the image's header, as its first extension. The clusters are not
 * counted then: a check repairs that.
 */
async function addLuksHeader(file: string, header: Buffer): Promise<void> {
  const image = await readFile(file);
  const clusterBytes = 1 << image.readUInt32BE(20);
  const offset = Math.ceil(image.length / clusterBytes) * clusterBytes;
  const at = image.readUInt32BE(4) === 2 ? 72 : image.readUInt32BE(100);
  const extension = Buffer.alloc(24);
  extension.writeUInt32BE(CRYPTO_HEADER, 0);
  extension.writeUInt32BE(16, 4);
  extension.writeBigUInt64BE(BigInt(offset), 8);
  extension.writeBigUInt64BE(BigInt(header.length), 16);
  image.copyWithin(at + extension.length, at, clusterBytes - extension.length);
  extension.copy(image, at);
  const backingName = image.readBigUInt64BE(8);
  if (backingName > 0n) image.writeBigUInt64BE(backingName + BigInt(extension.length), 8);
  image.writeUInt32BE(2, 32);
  const end = offset + Math.ceil(header.length / clusterBytes) * clusterBytes;
  const whole = Buffer.alloc(end);
  image.copy(whole);
  header.copy(whole, offset);
  await writeFile(file, whole);
}

const secret: Secret = { definition: SECRET, options: { 'encrypt.key-secret': 's' } };
const aesOptions = { 'encrypt.format': 'aes', 'encrypt.key-secret': 's' };

export const encryptedQcow2Kind: ImageKind<EncryptedContent> = {
  ...qcow2Kind,
  clusterBytes: ({ clusterBytes }) => clusterBytes,
  hasOpenOrder: (content, lines) => qcow2Kind.hasOpenOrder(content, lines),
  name: 'encrypted-qcow2',
  secret,
  alignBytes: SECTOR_BYTES,
  image: fc
    .tuple(qcow2Image, fc.oneof({ weight: 3, arbitrary: luksFormat }, fc.constant(null)))
    .map(([image, luks]) => ({
      ...image,
      luks,
      create: luks === null ? { ...image.create, ...aesOptions } : image.create,
      // A key that is damaged opens nothing any more.
      damage: [],
    })),
  async create(sandbox, content) {
    for (const [command = '', ...args] of makingOf(content, secret)) {
      const { stderr, exit } = await runProgram({ command, args: [] }, args, { cwd: sandbox.folder });
      if (args[0] !== 'create' || !args.includes('disk.img')) continue;
      if (exit !== '0') throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
      if (content.luks === null) continue;
      await addLuksHeader(sandbox.path('disk.img'), await readFile(await volumeOf(content.luks)));
      const check = [
        'check',
        '-q',
        '-r',
        'all',
        '--object',
        SECRET,
        '--image-opts',
        optionString('qcow2', secret, 'disk.img'),
      ];
      await runProgram({ command: 'qemu-img', args: [] }, check, { cwd: sandbox.folder });
    }
  },
  describe: (content) =>
    [
      ...makingOf(content, secret).map((words) =>
        words.map((word) => (word.includes(' ') ? `'${word}'` : word)).join(' '),
      ),
      `LUKS header: ${content.luks}`,
    ].join('\n'),
};
