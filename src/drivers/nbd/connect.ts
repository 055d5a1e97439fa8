/** Connecting to a server: name resolution and sockets, with QEMU's texts. Runs outside of the event loop's turns. */
import { ADDRCONFIG, type LookupAddress, V4MAPPED } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { createConnection, Socket, type SocketConnectOpts } from 'node:net';
import { BlockError } from '../../block/error.ts';
import { Errno, resolverText, strerror } from '../../util/errno.ts';
import type { InternetAddress, ServerAddress, UnixAddress } from './server-address.ts';

/** `sun_path` of Linux's socket addresses. */
const MAX_PATH_BYTES = 108;

/**
 * Connects to a server. `opened` is given each socket as soon as it exists, so that the caller can end the attempt by
 * destroying it. Throws errors with QEMU's texts.
 */
export function connectTo(address: ServerAddress, opened: (socket: Socket) => void): Promise<Socket> {
  switch (address.type) {
    case 'inet':
      return connectInternet(address, opened);
    case 'unix':
      return connectUnix(address, opened);
    case 'fd': {
      const socket = new Socket({ fd: address.fd, allowHalfOpen: true });
      opened(socket);
      return Promise.resolve(socket);
    }
    case 'vsock':
      throw new BlockError(
        Errno.ENOTSUP,
        `Failed to connect to '${address.cid}:${address.port}': vsock is not available in blkscope`,
      );
  }
}

async function connectUnix(address: UnixAddress, opened: (socket: Socket) => void): Promise<Socket> {
  const { path, isAbstract, isTight } = address;
  const bytes = Buffer.byteLength(path) + (isAbstract ? 1 : 0);
  if (bytes > MAX_PATH_BYTES) {
    const most = isAbstract ? MAX_PATH_BYTES - 1 : MAX_PATH_BYTES;
    throw new BlockError(Errno.EINVAL, `UNIX socket path '${path}' is too long\nPath must be less than ${most} bytes`);
  }
  // An empty path is an address that no socket listens at.
  if (path === '' && !isAbstract) throw failure('', Errno.ECONNREFUSED);
  const name = isAbstract ? `\0${isTight ? path : path.padEnd(MAX_PATH_BYTES - 1, '\0')}` : path;
  return connectSocket({ path: name }, path, opened);
}

async function connectInternet(address: InternetAddress, opened: (socket: Socket) => void): Promise<Socket> {
  const { host, port } = address;
  const family = familyOf(address);
  const number = portNumber(port);
  if (number === null) throw unresolved(host, port, 'Servname not supported for ai_socktype');
  let lastError: unknown = unresolved(host, port, 'Name or service not known');
  for (const found of await addressesOf(host, port, family)) {
    try {
      const options = { host: found.address, port: number, family: found.family, autoSelectFamily: false };
      const socket = await connectSocket(options, `${host}:${port}`, opened);
      socket.setNoDelay(true);
      if (address.keepAlive) socket.setKeepAlive(true);
      return socket;
    } catch (error) {
      lastError = error;
    }
  }
  throw lastError;
}

/** The family to ask for: 0 for any. Which of the two counts where both are named is QEMU's choice. */
function familyOf({ ipv4, ipv6 }: InternetAddress): 0 | 4 | 6 {
  if (ipv4 === false && ipv6 === false) {
    throw new BlockError(Errno.EINVAL, 'Cannot disable IPv4 and IPv6 at same time');
  }
  if (ipv4 === true && ipv6 === true) return 0;
  if (ipv6 === true || ipv4 === false) return 6;
  return ipv4 === true || ipv6 === false ? 4 : 0;
}

async function addressesOf(host: string, port: string, family: 0 | 4 | 6): Promise<readonly LookupAddress[]> {
  if (host === '') return [];
  try {
    return await lookup(host, { family, hints: ADDRCONFIG | V4MAPPED, all: true, verbatim: true });
  } catch (error) {
    throw unresolved(host, port, resolverText(error) ?? (error as Error).message);
  }
}

function unresolved(host: string, port: string, reason: string): BlockError {
  return new BlockError(Errno.EINVAL, `address resolution failed for ${host}:${port}: ${reason}`);
}

/** The port as glibc reads it, which takes the low 16 bits of any positive int; null for an unknown service. */
function portNumber(port: string): number | null {
  if (/^\s*\+?\d*$/.test(port)) {
    const value = Number(BigInt.asIntN(32, BigInt(port.replace('+', '').trim() || 0)));
    if (value >= 0) return value & 0xffff;
  }
  return servicePort(port);
}

/** The TCP port of a service by its name or an alias, from the host's list. */
function servicePort(name: string): number | null {
  let list: string;
  try {
    list = readFileSync('/etc/services', 'latin1');
  } catch {
    return null;
  }
  for (const line of list.split('\n')) {
    const [service, port, ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (port?.endsWith('/tcp') === true && (service === name || aliases.includes(name)))
      return Number.parseInt(port, 10);
  }
  return null;
}

function connectSocket(options: SocketConnectOpts, what: string, opened: (socket: Socket) => void): Promise<Socket> {
  return new Promise((resolve, reject) => {
    // The peer's end of sending is not ours: what it has sent is read, and a write fails as it does for QEMU.
    const socket = createConnection({ ...options, allowHalfOpen: true });
    opened(socket);
    const fail = (error?: NodeJS.ErrnoException): void => reject(failure(what, errnoOfSocket(error)));
    socket.once('error', fail);
    socket.once('close', () => fail());
    socket.once('connect', () => {
      socket.removeAllListeners('error').removeAllListeners('close');
      resolve(socket);
    });
  });
}

function failure(what: string, errno: number): BlockError {
  return new BlockError(errno, `Failed to connect to '${what}': ${strerror(errno)}`);
}

/** The errno of a socket's error; without one the socket was destroyed. */
export function errnoOfSocket(error: NodeJS.ErrnoException | undefined): number {
  return error?.errno === undefined ? Errno.ECONNABORTED : -error.errno;
}
