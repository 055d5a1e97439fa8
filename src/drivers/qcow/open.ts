/** Opening a qcow image. */
import { invalidArgument } from '../../block/error.ts';
import { openFileChild } from '../../block/open/open.ts';
import { type Options, takeSub } from '../../block/options/options.ts';
import { takeKeySecret } from '../../block/options/key-secret.ts';
import { preadv, readAnywhere } from '../../block/request/read.ts';
import { passphraseBytes } from '../../block/user-object.ts';
import type { SectorCipher } from '../../crypto/sector-cipher.ts';
import { run } from '../../util/steps.ts';
import { HEADER_BYTES } from './probe.ts';
import { CryptMethod, type Header, l1EntryCount, parseHeader } from './qcow-header.ts';
import { QcowImage, type QcowNode } from './qcow-image.ts';

const MAX_BACKING_NAME_BYTES = 1023;

/** Opens `file` and the image in it; sets `node.state`. */
export async function openImage(node: QcowNode, options: Options): Promise<void> {
  const encryption = takeSub(options, 'encrypt.');
  const file = await openFileChild(node, options, 'file');
  const data = Buffer.alloc(HEADER_BYTES);
  await preadv(file, 0, data, 0);
  const header = parseHeader(data);
  const cipher = await openCipher(node, header, encryption);
  node.totalSectors = Number(header.lengthBytes / 512n);
  l1EntryCount(header);
  const image = new QcowImage(node, header, cipher);
  node.state = image;
  await run(image.l1.load(file));
  await readBackingName(image, header);
}

/** AES with the passphrase as its key; null for an image that is not encrypted. */
async function openCipher(node: QcowNode, { cryptMethod }: Header, options: Options): Promise<SectorCipher | null> {
  const format = options.getString('format');
  if (cryptMethod === CryptMethod.NONE) {
    if (format === undefined) return null;
    throw invalidArgument(`No encryption in image header, but options specified format '${format}'`);
  }
  if (cryptMethod !== CryptMethod.AES) throw invalidArgument('invalid encryption method in qcow header');
  if (format !== undefined && format !== 'aes') {
    throw invalidArgument(`Header reported 'aes' encryption format but options specify '${format}'`);
  }
  const secret = takeKeySecret(options);
  if (secret === null) throw invalidArgument("Parameter 'encrypt.key-secret' is required for cipher");
  const { aesOfPassphrase } = await import('../../crypto/passphrase-cipher.ts');
  return aesOfPassphrase(passphraseBytes(node.context.objects, secret));
}

async function readBackingName({ node, file }: QcowImage, { backingOffset, backingBytes }: Header): Promise<void> {
  if (backingOffset === 0) return;
  if (backingBytes > MAX_BACKING_NAME_BYTES) throw invalidArgument('Backing file name too long');
  const name = Buffer.alloc(backingBytes);
  await readAnywhere(file, backingOffset, name);
  const end = name.indexOf(0);
  node.backingFilename = name.toString('utf8', 0, end < 0 ? name.length : end);
  node.autoBackingFilename = node.backingFilename;
}
