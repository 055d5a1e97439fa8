/** Giving a new image its encryption: a LUKS header in clusters of its own, or nothing but the method for AES. */
import { invalidArgument, stepsWithContext } from '../../../block/error.ts';
import { pwriteZeroes } from '../../../block/request/write.ts';
import { passphraseBytes } from '../../../block/user-object.ts';
import { CryptoError } from '../../../crypto/algorithms.ts';
import { createLuks } from '../../../crypto/luks-create.ts';
import { assert } from '../../../util/assert.ts';
import type { Steps } from '../../../util/steps.ts';
import { CryptMethod } from '../format/features.ts';
import { allocateClusters } from '../refcounts/refcounts.ts';
import { type Encryption, type LuksPlace, OutgoingMemory } from '../tables/encryption.ts';
import { updateHeader } from '../tables/header-write.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { writeFile } from '../tables/io.ts';
import type { NewEncryption } from './create-options.ts';

/** Writes the key and the header that names it. EINVAL with QEMU's texts for a passphrase that is not there. */
export function* setEncryption(image: Qcow2Image, { luks, secret }: NewEncryption): Steps<void> {
  if (secret === null) throw invalidArgument("Parameter 'encrypt.key-secret' is required for cipher");
  const passphrase = passphraseBytes(image.node.context.objects, secret);
  if (luks === null) {
    image.cryptMethod = CryptMethod.AES;
  } else {
    image.cryptMethod = CryptMethod.LUKS;
    try {
      const made = yield* createLuks(luks, passphrase, (begin) => image.loop.parkOutside({ kind: 'key' }, begin));
      const place = yield* takePlace(image, made.payloadOffset);
      image.luksHeader = place;
      image.encryption = withoutData();
      yield writeFile(image, place.offset, made.header);
      yield writeFile(image, place.offset + made.materialOffset, made.material);
    } catch (error) {
      throw error instanceof CryptoError ? invalidArgument(error.message) : error;
    }
  }
  yield* stepsWithContext('Cannot write encryption header', updateHeader(image));
}

/** Clusters for the header, zeroed: what no key is in must not be what was there before. */
function* takePlace(image: Qcow2Image, bytes: number): Steps<LuksPlace> {
  const text = `Cannot allocate cluster for LUKS header size ${bytes}`;
  const offset = yield* stepsWithContext(text, allocateClusters(image, bytes));
  const extension = Buffer.alloc(16);
  extension.writeBigUInt64BE(BigInt(offset));
  extension.writeBigUInt64BE(BigInt(bytes), 8);
  const whole = image.clustersFor(bytes) * image.clusterBytes;
  yield pwriteZeroes(image.file, offset, whole, 0);
  return { offset, bytes, extension };
}

/** The encryption of an image that is closed before data comes. */
function withoutData(): Encryption {
  const refuse = (): void => assert(false, 'a new image gets no data');
  return { info: { format: 'luks' }, outgoing: new OutgoingMemory(), encrypt: refuse, decrypt: refuse };
}
