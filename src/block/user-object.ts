/** Objects that users make with `--object` and name by their ids: secrets, TLS credentials, throttle groups. */
import { isUtf8 } from 'node:buffer';
import { invalidArgument } from './error.ts';
import type { ThrottleGroup } from './throttle-limits.ts';

/** A text that others use by its id: a passphrase or a key. No message or view shows it. */
export interface Secret {
  readonly kind: 'secret';
  readonly content: Buffer;
}

/** Credentials for one end of a TLS connection. */
export interface TlsCredentials {
  readonly kind: 'tls-credentials';
  readonly endpoint: 'client' | 'server';
  /** Whether the other end must prove its identity. */
  readonly verifiesPeer: boolean;
  readonly means: Certificates | PreSharedKey | Anonymity;
}

/** Certificates as PEM texts. */
export interface Certificates {
  readonly kind: 'x509';
  readonly authorities: Buffer;
  readonly revoked: Buffer | null;
  readonly certificate: Buffer | null;
  readonly key: Buffer | null;
  readonly passphrase: string | null;
}

/** A key that both ends know. */
export interface PreSharedKey {
  readonly kind: 'psk';
  readonly username: string;
  readonly key: Buffer;
}

/** Neither end proves its identity: the connection is encrypted, which keeps out listeners alone. */
export interface Anonymity {
  readonly kind: 'anonymous';
}

/** Any of them. */
export type UserObject = Secret | TlsCredentials | ThrottleGroup;

/** The bytes of the secret with this id. EINVAL with QEMU's text if there is none. */
export function secretBytes(objects: ReadonlyMap<string, UserObject>, id: string): Buffer {
  const object = objects.get(id);
  if (object === undefined) throw invalidArgument(`No secret with id '${id}'`);
  if (object.kind !== 'secret') throw invalidArgument(`Object with id '${id}' is not a secret`);
  return object.content;
}

/** The bytes of a secret that is a passphrase: text in UTF-8 without NULs. EINVAL with QEMU's text otherwise. */
export function passphraseBytes(objects: ReadonlyMap<string, UserObject>, id: string): Buffer {
  const content = secretBytes(objects, id);
  if (content.includes(0) || !isUtf8(content)) throw invalidArgument(`Data from secret ${id} is not valid UTF-8`);
  return content;
}
