/** Objects that users make with `--object` and name by their ids: secrets and credentials for TLS. */

/** A text that others use by its id: a passphrase. */
export interface Secret {
  readonly kind: 'secret';
  readonly content: string;
}

/** Credentials for one end of a TLS connection. */
export interface TlsCredentials {
  readonly kind: 'tls-credentials';
  readonly endpoint: 'client' | 'server';
  /** Whether the other end must prove who it is. */
  readonly verifiesPeer: boolean;
  readonly means: Certificates | PreSharedKey;
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

/** Any of them. */
export type UserObject = Secret | TlsCredentials;
