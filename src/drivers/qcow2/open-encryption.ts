/** Opening the encryption of an image: AES with a passphrase as its key, or a LUKS header in the image. */
import { laterAlgorithms } from '../../block/compat.ts';
import { invalidArgument, withContext } from '../../block/error.ts';
import { passphraseBytes } from '../../block/user-object.ts';
import { CryptoError } from '../../crypto/algorithms.ts';
import { openLuks } from '../../crypto/luks.ts';
import { luksInfo } from '../../crypto/luks-info.ts';
import { aesOfPassphrase } from '../../crypto/passphrase-cipher.ts';
import { SECTOR_BYTES } from '../../crypto/sector-cipher.ts';
import type { Steps } from '../../util/steps.ts';
import { type Encryption, OutgoingMemory } from './tables/encryption.ts';
import type { HeaderOpener } from './tables/extensions.ts';
import type { Qcow2Image } from './tables/image.ts';
import { readFile } from './tables/io.ts';

/** Makes the image's encryption of a LUKS header in it. EINVAL with QEMU's text if that cannot be unlocked. */
export function headerOpener(image: Qcow2Image): HeaderOpener {
  const { compat } = image.node.context;
  return function* (header) {
    const read = (offset: number, data: Buffer) => {
      if (offset + data.length > header.bytes) throw invalidArgument('Request for data outside of extension header');
      return withContext('Could not read encryption header', () => readFile(image, header.offset + offset, data));
    };
    const volume = yield* refusing(
      openLuks(
        { read, wait: (begin) => image.loop.parkOutside({ kind: 'key' }, begin), later: laterAlgorithms(compat) },
        passphraseOf(image),
      ),
    );
    const tellsDetached = compat.has('detachedHeaders');
    // Where the data lies, as the guest's own offsets would tell where it was overwritten.
    image.encryption = {
      info: { format: 'luks', ...luksInfo({ ...volume, tellsDetached }) },
      outgoing: new OutgoingMemory(),
      encrypt: (host, _guest, source, target) => volume.sectors.encrypt(host / SECTOR_BYTES, source, target),
      decrypt: (host, _guest, data) => volume.sectors.decrypt(host / SECTOR_BYTES, data, data),
    };
  };
}

/** The encryption of old images, with nothing that tells a wrong passphrase. */
export function openAes(image: Qcow2Image): Encryption {
  const sectors = aesOfPassphrase(passphraseOf(image));
  return {
    info: { format: 'aes' },
    outgoing: new OutgoingMemory(),
    encrypt: (_host, guest, source, target) => sectors.encrypt(guest / SECTOR_BYTES, source, target),
    decrypt: (_host, guest, data) => sectors.decrypt(guest / SECTOR_BYTES, data, data),
  };
}

function passphraseOf({ keySecret, node }: Qcow2Image): Buffer {
  if (keySecret === null) throw invalidArgument("Parameter 'encrypt.key-secret' is required for cipher");
  return passphraseBytes(node.context.objects, keySecret);
}

function* refusing<T>(steps: Steps<T>): Steps<T> {
  try {
    return yield* steps;
  } catch (error) {
    if (error instanceof CryptoError) throw invalidArgument(error.message);
    throw error;
  }
}
