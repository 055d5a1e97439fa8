/** Connections by TLS: credentials from the files of a folder, a server that proves itself, and one that cannot. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TLSSocketOptions } from 'node:tls';
import { afterEach, expect, it } from 'vitest';
import type { UserObject } from '../../../src/block/user-object.ts';
import { createObject } from '../../../src/cli/objects.ts';
import { encodeOptionReply, Option, OptionReply } from '../../../src/nbd/wire.ts';
import { useFolder } from '../../helpers/sandbox.ts';
import {
  authority,
  clientCertificate,
  clientKey,
  otherAuthority,
  serverCertificate,
  serverKey,
} from './certificates.ts';
import { nbdShell, type NbdShell } from './nbd-shell.ts';
import { ScriptedServer } from './scripted-server.ts';

const folder = useFolder();
const socket = path.join(folder, 'server');
const byCertificate = { cert: serverCertificate, key: serverKey, ca: authority };
const key = Buffer.from('30313233343536373839', 'hex');

let server: ScriptedServer;
let shell: NbdShell;

afterEach(async () => {
  await shell.session.close();
  await server.stop();
});

/** A folder of credentials with these files. */
function credentials(name: string, files: Record<string, string>): string {
  const dir = path.join(folder, name);
  mkdirSync(dir, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(path.join(dir, file), text);
  return dir;
}

async function open(tls: TLSSocketOptions | undefined, definition: string, options = {}): Promise<string> {
  server = new ScriptedServer(socket, 1 << 20, tls === undefined ? {} : { tls });
  await server.start();
  const objects = new Map<string, UserObject>();
  createObject(definition, objects, () => {});
  shell = nbdShell(objects);
  await shell.open({ driver: 'raw', 'file.driver': 'nbd', 'file.path': socket, 'file.tls-creds': 't0', ...options });
  return shell.said();
}

const x509 = (dir: string, more = ''): string => `tls-creds-x509,id=t0,endpoint=client,dir=${dir}${more}`;
const localhost = { 'file.tls-hostname': 'localhost' };

it('carries requests when both ends prove who they are', async () => {
  const dir = credentials('both', {
    'ca-cert.pem': authority,
    'client-cert.pem': clientCertificate,
    'client-key.pem': clientKey,
  });
  const asksForClient = { ...byCertificate, requestCert: true, rejectUnauthorized: true };
  expect(await open(asksForClient, x509(dir), localhost)).toBe('');
  const said = await shell.run('write -P 5 0 256k', 'aio_read -P 5 0 128k', 'aio_read -P 5 128k 128k', 'aio_flush');
  expect([...said.matchAll(/131072\/131072/g)]).toHaveLength(2);
  expect(server.content.subarray(0, 256 << 10).every((byte) => byte === 5)).toBe(true);
});

it('refuses a server that another authority has signed for, and one of another name', async () => {
  const other = credentials('other', { 'ca-cert.pem': otherAuthority });
  expect(await open(byCertificate, x509(other), localhost)).toBe(
    "qemu-io: can't open: The certificate hasn't got a known issuer\n",
  );
  await server.stop();
  const dir = credentials('right', { 'ca-cert.pem': authority });
  expect(await open(byCertificate, x509(dir), { 'file.tls-hostname': 'elsewhere' })).toBe(
    "qemu-io: can't open: Certificate does not match the hostname elsewhere\n",
  );
  await server.stop();
  expect(await open(byCertificate, x509(dir))).toBe("qemu-io: can't open: No hostname for certificate validation\n");
  await server.stop();
  expect(await open(byCertificate, x509(other, ',verify-peer=off'))).toBe('');
});

/** The first bytes of a fatal alert: the handshake failed. */
const alert = Buffer.from([0x15, 3, 3, 0, 2, 2, 40]);

it.each([
  ['ends the connection', Buffer.alloc(0), 'The TLS connection was non-properly terminated.'],
  ['sends an alert', alert, 'A TLS fatal alert has been received.'],
  ['does not speak TLS', Buffer.from('HTTP/1.1 400 Bad Request'), 'An unexpected TLS packet was received.'],
])('says as qemu-io does that a server %s in the handshake', async (_what, answer, reason) => {
  const onOption = (option: number): Buffer[] | undefined => {
    if (option !== Option.STARTTLS) return undefined;
    const [peer] = server.connections;
    // What comes next is the client's first message of the handshake.
    peer?.once('data', () => peer.end(answer));
    return [encodeOptionReply(option, OptionReply.ACK, Buffer.alloc(0))];
  };
  server = new ScriptedServer(socket, 1 << 20, { onOption });
  await server.start();
  const objects = new Map<string, UserObject>();
  createObject(x509(credentials('right', { 'ca-cert.pem': authority })), objects, () => {});
  shell = nbdShell(objects);
  await shell.open({ driver: 'nbd', path: socket, 'tls-creds': 't0', 'tls-hostname': 'localhost' });
  expect(shell.said()).toBe(`qemu-io: can't open: TLS handshake failed: ${reason}\n`);
});

it('is by a key that both know as well', async () => {
  const dir = credentials('psk', { 'keys.psk': `qemu:${key.toString('hex')}\n` });
  const byKey = { pskCallback: () => key, ciphers: 'PSK', maxVersion: 'TLSv1.2' } as unknown as TLSSocketOptions;
  expect(await open(byKey, `tls-creds-psk,id=t0,endpoint=client,dir=${dir}`)).toBe('');
  expect(await shell.run('read 0 512')).toMatch(/^read 512\/512/);
});

it('is with no proof at all, where both want that', async () => {
  // Which exchange of keys: with GnuTLS, as QEMU uses it, ephemeral Diffie-Hellman.
  const anonymous = { ciphers: 'ADH:@SECLEVEL=0', maxVersion: 'TLSv1.2', dhparam: 'auto' } as TLSSocketOptions;
  expect(await open(anonymous, 'tls-creds-anon,id=t0,endpoint=client')).toBe('');
  expect(await shell.run('write -P 7 0 512', 'read -P 7 0 512')).toMatch(/^wrote 512\/512.*\n.*\nread 512\/512/);
  await shell.session.close();
  await server.stop();
  expect(await open(byCertificate, 'tls-creds-anon,id=t0,endpoint=client,dir=/nonexistent')).toBe(
    "qemu-io: can't open: TLS handshake failed: A TLS fatal alert has been received.\n",
  );
});

it('is refused by servers without it', async () => {
  const dir = credentials('right', { 'ca-cert.pem': authority });
  expect(await open(undefined, x509(dir))).toBe("qemu-io: can't open: Server don't support STARTTLS option\n");
});

it('is asked for by servers that want it', async () => {
  server = new ScriptedServer(socket, 1 << 20, {
    onOption: (option) =>
      option === Option.GO
        ? [encodeOptionReply(option, OptionReply.ERR_TLS_REQD, Buffer.from('not in the clear'))]
        : undefined,
  });
  await server.start();
  shell = nbdShell();
  await shell.open({ driver: 'nbd', path: socket });
  expect(shell.said()).toBe(
    "qemu-io: can't open: TLS negotiation required before option 7 (go)\n" +
      'Did you forget a valid tls-creds?\nserver reported: not in the clear\n',
  );
});

it.each([
  ['tls-creds-x509,id=t0', "Missing 'dir' property value"],
  [
    'tls-creds-x509,id=t0,dir=/nonexistent',
    'Unable to access credentials /nonexistent/ca-cert.pem: No such file or directory',
  ],
  ['tls-creds-x509,id=t0,dir=/,endpoint=both', "Parameter 'endpoint' does not accept value 'both'"],
  ['tls-creds-x509,id=t0,dir=/,verify-peer=so', "Parameter 'verify-peer' expects 'on' or 'off'"],
  ['tls-creds-anon,id=t0,sanity-check=on', "Parameter 'sanity-check' is unexpected"],
  ['tls-creds-x509,id=t0,dir=/,username=me', "Parameter 'username' is unexpected"],
  ['tls-creds-x509,id=t0,dir=/,more=1', "Parameter 'more' is unexpected"],
  [
    'tls-creds-psk,id=t0,dir=/nonexistent',
    'Unable to access credentials /nonexistent/keys.psk: No such file or directory',
  ],
])('refuses the object %s', (definition, message) => {
  expect(() => createObject(definition, new Map(), () => {})).toThrow(message);
});
