/** TLS between the client and a server, with the credentials of an object. */
import type { Socket } from 'node:net';
import type { ConnectionOptions, PeerCertificate } from 'node:tls';
import { BlockError, invalidArgument } from '../../block/error.ts';
import type { TlsCredentials, UserObject } from '../../block/user-object.ts';
import { Channel } from './channel.ts';

/** QEMU's texts for the reasons why OpenSSL does not trust a certificate. */
const distrust: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "The certificate hasn't got a known issuer",
  UNABLE_TO_GET_ISSUER_CERT: "The certificate hasn't got a known issuer",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "The certificate hasn't got a known issuer",
  SELF_SIGNED_CERT_IN_CHAIN: "The certificate hasn't got a known issuer",
  DEPTH_ZERO_SELF_SIGNED_CERT: "The certificate hasn't got a known issuer",
  CERT_SIGNATURE_FAILURE: "The certificate hasn't got a known issuer",
  CERT_REVOKED: 'The certificate has been revoked',
  CERT_HAS_EXPIRED: 'The certificate has expired',
  CERT_NOT_YET_VALID: 'The certificate is not yet activated',
};

/** The credentials of a client by their id. EINVAL, with QEMU's texts, if there are none. */
export function clientCredentials(objects: ReadonlyMap<string, UserObject>, id: string): TlsCredentials {
  const object = objects.get(id);
  if (object === undefined) throw invalidArgument(`No TLS credentials with id '${id}'`);
  if (object.kind !== 'tls-credentials') throw invalidArgument(`Object with id '${id}' is not TLS credentials`);
  if (object.endpoint !== 'client') throw invalidArgument('Expected TLS credentials for a client endpoint');
  return object;
}

/** Puts TLS on a connection. The server must be the one that `hostname` names; without it none can be checked. */
export async function startTls(plain: Channel, credentials: TlsCredentials, hostname: string | null): Promise<Channel> {
  const tls = await import('node:tls');
  const socket = plain.release();
  const settings = settingsFor(credentials, hostname, tls.checkServerIdentity);
  const secured = await new Promise<Socket>((resolve, reject) => {
    const secure = tls.connect({ ...settings, socket });
    const fail = (error?: NodeJS.ErrnoException): void => reject(refusal(error));
    secure.once('error', fail);
    secure.once('close', () => fail());
    secure.once('secureConnect', () => {
      secure.removeAllListeners('error').removeAllListeners('close');
      resolve(secure);
    });
  });
  return new Channel(secured);
}

type IdentityCheck = (hostname: string, certificate: PeerCertificate) => Error | undefined;

function settingsFor(
  { means, verifiesPeer }: TlsCredentials,
  hostname: string | null,
  checkIdentity: IdentityCheck,
): ConnectionOptions {
  if (means.kind === 'anonymous') {
    // OpenSSL has these key exchanges only up to this version, and only below its own level of what is safe.
    return {
      maxVersion: 'TLSv1.2',
      ciphers: 'ADH:@SECLEVEL=0',
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    };
  }
  if (means.kind === 'psk') {
    const { username: identity, key: psk } = means;
    return {
      // Keys that both ends know are used without certificates only up to this version, with OpenSSL's client.
      maxVersion: 'TLSv1.2',
      ciphers: 'ECDHE-PSK:DHE-PSK:PSK',
      pskCallback: () => ({ psk, identity }),
      checkServerIdentity: () => undefined,
    };
  }
  const { authorities: ca, certificate, key, passphrase } = means;
  return {
    ca,
    ...(certificate === null ? {} : { cert: certificate }),
    ...(key === null ? {} : { key }),
    ...(passphrase === null ? {} : { passphrase }),
    rejectUnauthorized: verifiesPeer,
    checkServerIdentity: (_name, peer) =>
      hostname === null
        ? invalidArgument('No hostname for certificate validation')
        : checkIdentity(hostname, peer) === undefined
          ? undefined
          : invalidArgument(`Certificate does not match the hostname ${hostname}`),
  };
}

/** The error of a handshake, in GnuTLS's words as qemu-io says them; Node has others for all of these. */
function refusal(error: NodeJS.ErrnoException | undefined): BlockError {
  if (error instanceof BlockError) return error;
  const reason = distrust[error?.code ?? ''];
  if (reason !== undefined) return invalidArgument(reason);
  return invalidArgument(`TLS handshake failed: ${breakOff(error)}`);
}

/** Node's own errors at the end of a connection have a code and no number; those of the host have both. */
function breakOff(error: NodeJS.ErrnoException | undefined): string {
  const code = error?.code ?? 'ECONNRESET';
  if (error?.errno !== undefined) return 'Error in the pull function.';
  if (code === 'ECONNRESET') return 'The TLS connection was non-properly terminated.';
  if (/^ERR_SSL_.*ALERT/.test(code)) return 'A TLS fatal alert has been received.';
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER') return 'An unexpected TLS packet was received.';
  // OpenSSL's message has its own lines of code around the reason.
  return (error as { reason?: string }).reason ?? error?.message ?? code;
}
