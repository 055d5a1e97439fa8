/** Where a server listens: the options `server.*`, with the texts of QEMU's checks of a SocketAddress. */
import { fstatSync } from 'node:fs';
import { invalidArgument } from '../../block/error.ts';
import { type Options, optionText, parseBool } from '../../block/options/options.ts';
import { parseUnsigned } from '../../util/parse-number.ts';

/** An internet address; host and port are what getaddrinfo(3) takes. */
export interface InternetAddress {
  readonly type: 'inet';
  readonly host: string;
  readonly port: string;
  readonly ipv4: boolean | undefined;
  readonly ipv6: boolean | undefined;
  readonly keepAlive: boolean;
  /** The upper end of a range of ports, which only servers use; an address with one has no URI. */
  readonly hasTo: boolean;
}

/** A socket in the file system, or in Linux's abstract name space. */
export interface UnixAddress {
  readonly type: 'unix';
  readonly path: string;
  readonly isAbstract: boolean;
  /** An abstract name is as long as its text, not filled up with NULs. */
  readonly isTight: boolean;
}

/** A socket that this process has inherited. */
export interface DescriptorAddress {
  readonly type: 'fd';
  readonly fd: number;
}

/** A socket to or from a virtual machine. */
export interface VmAddress {
  readonly type: 'vsock';
  readonly cid: string;
  readonly port: string;
}

/** Where a server listens. */
export type ServerAddress = InternetAddress | UnixAddress | DescriptorAddress | VmAddress;

/** Reads an address from its options, the prefix `server.` taken off. EINVAL if they are none. */
export function parseAddress(options: Options): ServerAddress {
  if (options.size === 0) throw invalidArgument('NBD server address missing');
  const keys = options.orderedKeys();
  if (keys.some((key) => key.includes('.') && options.has(rootOf(key)))) {
    throw invalidArgument('Cannot mix scalar and non-scalar keys');
  }
  if (keys.every((key) => /^\d+$/.test(rootOf(key)))) {
    throw invalidArgument("Invalid parameter type for '<anonymous>', expected: object");
  }
  const members = new Members(options);
  const address = takeAddress(members);
  members.refuseRest();
  return address;
}

function takeAddress(members: Members): ServerAddress {
  const type = members.text('type');
  switch (type) {
    case 'inet': {
      const host = members.text('host');
      const port = members.text('port');
      members.flag('numeric');
      const hasTo = members.hasPort('to');
      const [ipv4, ipv6] = [members.flag('ipv4'), members.flag('ipv6')];
      const keepAlive = members.flag('keep-alive') ?? false;
      // A connection by several paths is one of one path to a program that does not ask for it.
      members.flag('mptcp');
      return { type, host, port, ipv4, ipv6, keepAlive, hasTo };
    }
    case 'unix': {
      const path = members.text('path');
      const isAbstract = members.flag('abstract') ?? false;
      return { type, path, isAbstract, isTight: members.flag('tight') ?? true };
    }
    case 'vsock':
      return { type, cid: members.text('cid'), port: members.text('port') };
    case 'fd': {
      const text = members.text('str');
      members.refuseRest();
      return { type, fd: socketDescriptor(text) };
    }
    default:
      throw invalidArgument(`Parameter 'type' does not accept value '${type}'`);
  }
}

function socketDescriptor(text: string): number {
  const fd = Number(text);
  if (!/^\s*[-+]?\d+$/.test(text) || fd > 0x7fffffff) throw invalidArgument(`Unable to parse FD number ${text}`);
  let isSocket: boolean;
  try {
    isSocket = fstatSync(fd).isSocket();
  } catch {
    isSocket = false;
  }
  if (!isSocket) throw invalidArgument(`File descriptor '${text}' is not a socket`);
  return fd;
}

function rootOf(key: string): string {
  return key.split('.')[0] ?? key;
}

/** The members of an object, taken one by one in the order of QEMU's schema. */
class Members {
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
  }

  /** The member, which must be there, as text. */
  text(name: string): string {
    const text = this.#take(name);
    if (text === undefined) throw invalidArgument(`Parameter '${name}' is missing`);
    return text;
  }

  flag(name: string): boolean | undefined {
    const text = this.#take(name);
    return text === undefined ? undefined : parseBool(name, text);
  }

  /** Whether there is a port of this name; it must be one. */
  hasPort(name: string): boolean {
    const text = this.#take(name);
    if (text === undefined) return false;
    const port = parseUnsigned(text);
    if (typeof port === 'string') throw invalidArgument(`Parameter '${name}' expects integer`);
    if (port > 0xffff) throw invalidArgument(`Parameter '${name}' expects uint16_t`);
    return true;
  }

  /** Throws if members are left. */
  refuseRest(): void {
    const [key] = this.#options.orderedKeys();
    if (key !== undefined) throw invalidArgument(`Parameter '${rootOf(key)}' is unexpected`);
  }

  #take(name: string): string | undefined {
    const value = this.#options.get(name);
    if (value === undefined) {
      const below = [...this.#options.keys()].some((key) => key.startsWith(`${name}.`));
      if (below && name === 'type') throw invalidArgument(`Parameters '${name}.*' are unexpected`);
      return undefined;
    }
    if (value === null) throw invalidArgument(`Internal error: parameter ${name} invalid`);
    this.#options.delete(name);
    return optionText(value);
  }
}
