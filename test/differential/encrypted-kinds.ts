/**
 * Encrypted images: luks volumes and qcow2 images with LUKS or AES, in each cipher, mode, generator and hash that
 * qemu-img makes and OpenSSL has.
 */
import fc from 'fast-check';
import { copyFile, truncate } from 'node:fs/promises';
import { statSync } from 'node:fs';
import { runProgram } from '../helpers/run-program.ts';
import { makeFolder, type Sandbox } from '../helpers/sandbox.ts';
import { type ImageContent, type ImageKind, inPercent, present, type Secret } from './image-kind.ts';
import { makingOf, type Qcow2Content, qcow2Image } from './qcow2-image.ts';
import { qcow2Kind } from './qcow2-kind.ts';
import { rawKind } from './raw-kind.ts';
import type { Unit } from './unit.ts';

/** The secret of all encrypted images, for `--object`. */
export const SECRET = 'secret,id=s,data=hunter2';
const SECTOR_BYTES = 512;

type Options = Readonly<Record<string, string>>;

/** Keys of 24 bytes only with XTS: with other modes qemu-img 7.2 aborts, as a split key is no number of sectors. */
const cipher = fc.oneof(
  fc
    .tuple(fc.constantFrom('aes-128', 'aes-256'), fc.constantFrom('xts', 'cbc', 'ctr', 'ecb'))
    .map(([algorithm, mode]): Options => ({ 'cipher-alg': algorithm, 'cipher-mode': mode })),
  fc.constant<Options>({ 'cipher-alg': 'aes-192', 'cipher-mode': 'xts' }),
);
const generator = fc.constantFrom<Options>(
  { 'ivgen-alg': 'plain' },
  { 'ivgen-alg': 'plain64' },
  { 'ivgen-alg': 'essiv', 'ivgen-hash-alg': 'sha256' },
  { 'ivgen-alg': 'essiv', 'ivgen-hash-alg': 'md5' },
);
const hash = fc
  .constantFrom('sha256', 'sha256', 'sha1', 'sha224', 'sha384', 'sha512', 'ripemd160', 'md5')
  .map((name): Options => ({ 'hash-alg': name }));
const luksFormat: fc.Arbitrary<Options> = fc
  .tuple(cipher, generator, hash)
  .map(([one, two, three]) => ({ ...one, ...two, ...three }));

/** qemu-img measures the processor to find how often to iterate, and gives up on a busy machine. */
const MAX_ATTEMPTS = 50;

/** Runs `qemu-img create` with these words, as often as it takes. */
export async function createEncrypted(args: readonly string[], folder: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const { stderr, exit } = await runProgram({ command: 'qemu-img', args: ['create', '-q'] }, args, { cwd: folder });
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
  const options = ['--object', SECRET, '-f', 'luks', '-o', `key-secret=s,iter-time=10,${format}`, file, '0'];
  const made = createEncrypted(options, volumeFolder.path).then(() => file);
  volumes.set(format, made);
  return made;
}

interface LuksContent extends ImageContent {
  readonly format: Options;
}

function text(options: Options): string {
  return Object.entries(options)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** Events of raw's scripts that luks, which fires none, does not bring about. */
function withoutFormatEvents({ lines, disturbs }: Unit): Unit {
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
    await copyFile(await volumeOf(text(format)), file);
    await truncate(file, statSync(file).size + lengthBytes);
  },
  describe: ({ lengthBytes, format }) => `luks disk.img: ${lengthBytes} bytes, ${text(format)}`,
  options: fc.record({ 'detect-zeroes': inPercent(30, fc.constantFrom('on', 'off', 'unmap')) }).map(present),
  events: rawKind.events.filter((event) => event !== 'read_aio' && event !== 'write_aio'),
  script: rawKind.script.map((units) => units.map(withoutFormatEvents)),
};

const encryption: fc.Arbitrary<Options> = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Options>({ 'encrypt.format': 'aes' }) },
  {
    weight: 3,
    arbitrary: luksFormat.map((format) => ({
      'encrypt.format': 'luks',
      'encrypt.iter-time': '10',
      ...Object.fromEntries(Object.entries(format).map(([key, value]) => [`encrypt.${key}`, value])),
    })),
  },
);

const secret: Secret = { definition: SECRET, options: { 'encrypt.key-secret': 's' } };

export const encryptedQcow2Kind: ImageKind<Qcow2Content> = {
  ...qcow2Kind,
  name: 'encrypted-qcow2',
  secret,
  alignBytes: SECTOR_BYTES,
  image: fc.tuple(qcow2Image, encryption).map(([image, chosen]) => ({
    ...image,
    create: { ...image.create, ...chosen, 'encrypt.key-secret': 's' },
    // The rest of a key that is damaged opens nothing any more.
    damage: [],
  })),
  async create(sandbox, content) {
    for (const [command = '', ...args] of makingOf(content, secret)) {
      if (args[0] === 'create') await createEncrypted(args.slice(2), sandbox.folder);
      else await runProgram({ command, args: [] }, args, { cwd: sandbox.folder });
    }
  },
  describe: (content) =>
    makingOf(content, secret)
      .map((words) => words.map((word) => (word.includes(' ') ? `'${word}'` : word)).join(' '))
      .join('\n'),
};
