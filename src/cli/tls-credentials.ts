/** The objects `tls-creds-anon`, `tls-creds-psk` and `tls-creds-x509`: credentials, most from files of a folder. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { asBlockError, errorWithErrno, invalidArgument } from '../block/error.ts';
import {
  type Certificates,
  passphraseBytes,
  type PreSharedKey,
  type TlsCredentials,
  type UserObject,
} from '../block/user-object.ts';
import { parseBool } from '../block/options/options.ts';
import { Errno } from '../util/errno.ts';

/** The properties of each type, with what `help` says of their values. */
export const tlsProperties: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'tls-creds-anon': {
    dir: 'string',
    endpoint: 'QCryptoTLSCredsEndpoint',
    priority: 'string',
    'verify-peer': 'bool',
  },
  'tls-creds-x509': {
    dir: 'string',
    endpoint: 'QCryptoTLSCredsEndpoint',
    passwordid: 'string',
    priority: 'string',
    'sanity-check': 'bool',
    'verify-peer': 'bool',
  },
  'tls-creds-psk': {
    dir: 'string',
    endpoint: 'QCryptoTLSCredsEndpoint',
    priority: 'string',
    username: 'string',
    'verify-peer': 'bool',
  },
};

/** Takes a property; undefined if it was not given. */
type Take = (property: string) => string | undefined;

/**
 * Reads credentials. `takeAny` gives the properties; `objects` has the secrets. EINVAL or the host's errno with QEMU's
 * texts.
 */
export function readTlsCredentials(
  type: string,
  takeAny: Take,
  objects: ReadonlyMap<string, UserObject>,
): () => TlsCredentials {
  // A property that another type has is left over.
  const take: Take = (property) => (Object.hasOwn(tlsProperties[type] ?? {}, property) ? takeAny(property) : undefined);
  const endpoint = take('endpoint') ?? 'client';
  if (endpoint !== 'client' && endpoint !== 'server') {
    throw invalidArgument(`Parameter 'endpoint' does not accept value '${endpoint}'`);
  }
  const folder = take('dir');
  const verifiesPeer = flag(take, 'verify-peer');
  // Priorities are the words of another library, and its checks of one's own certificates are left to the peer.
  take('priority');
  flag(take, 'sanity-check');
  const username = take('username');
  const passwordId = take('passwordid');
  const read = (): TlsCredentials['means'] => {
    switch (type) {
      case 'tls-creds-anon':
        // Of a server alone there may be a file, with the group of its key exchange.
        return { kind: 'anonymous' };
      case 'tls-creds-psk':
        return readKey(folder, endpoint, username);
      default:
        return readCertificates(folder, endpoint, passphraseOf(passwordId, objects));
    }
  };
  return () => ({ kind: 'tls-credentials', endpoint, verifiesPeer, means: read() });
}

function flag(take: Take, property: string): boolean {
  const text = take(property);
  return text === undefined || parseBool(property, text);
}

function passphraseOf(id: string | undefined, objects: ReadonlyMap<string, UserObject>): string | null {
  if (id === undefined) return null;
  return passphraseBytes(objects, id).toString();
}

function readCertificates(folder: string | undefined, endpoint: string, passphrase: string | null): Certificates {
  const isServer = endpoint === 'server';
  const authorities = readRequired(folder, 'ca-cert.pem');
  const revoked = isServer ? readOptional(folder, 'ca-crl.pem') : null;
  const [certificate, key] = [`${endpoint}-cert.pem`, `${endpoint}-key.pem`].map((name) =>
    isServer ? readRequired(folder, name) : readOptional(folder, name),
  );
  const both = certificate !== null && certificate !== undefined && key !== null && key !== undefined;
  return {
    kind: 'x509',
    authorities,
    revoked,
    certificate: both ? certificate : null,
    key: both ? key : null,
    passphrase,
  };
}

/** The key of a user: a line "USER:HEX" of `keys.psk`. */
function readKey(folder: string | undefined, endpoint: string, username: string | undefined): PreSharedKey {
  if (endpoint === 'server') throw invalidArgument('tls-creds-psk: only endpoint=client can be used in blkscope');
  const user = username ?? 'qemu';
  const lines = readRequired(folder, 'keys.psk').toString('latin1').split('\n');
  const line = lines.find((text) => text.startsWith(`${user}:`));
  if (line === undefined) {
    throw invalidArgument(`Username ${user} not found in PSK file ${path.join(folder ?? '', 'keys.psk')}`);
  }
  return { kind: 'psk', username: user, key: Buffer.from(line.slice(user.length + 1), 'hex') };
}

function readRequired(folder: string | undefined, name: string): Buffer {
  if (folder === undefined) throw invalidArgument("Missing 'dir' property value");
  const file = `${folder}/${name}`;
  try {
    return readFileSync(file);
  } catch (error) {
    throw errorWithErrno(asBlockError(error).errno, `Unable to access credentials ${file}`);
  }
}

function readOptional(folder: string | undefined, name: string): Buffer | null {
  try {
    return readRequired(folder, name);
  } catch (error) {
    if (asBlockError(error).errno === Errno.ENOENT) return null;
    throw error;
  }
}
