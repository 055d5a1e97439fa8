/** Where a server listens: `unix:PATH` or `tcp:[HOST:]PORT`. */
import { BlockError } from '../block/error.ts';
import { Errno } from '../util/errno.ts';

/** A socket in the file system, or a port of a host. */
export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** Used where no host is named: reachable from this machine alone. */
const LOOPBACK = '127.0.0.1';
/** The port that IANA has registered for NBD; what a URI without a port means. */
const NBD_PORT = 10809;

/** Reads an address. EINVAL for anything else; port 0 lets the host choose one. */
export function parseAddress(text: string): Address {
  if (text.startsWith('unix:') && text.length > 'unix:'.length) {
    return { kind: 'unix', path: text.slice('unix:'.length) };
  }
  const match = /^tcp:(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d+)$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 0xffff) {
    throw new BlockError(
      Errno.EINVAL,
      `'${text}' is not an address: unix:PATH, tcp:PORT or tcp:HOST:PORT (IPv6: tcp:[::1]:PORT)`,
    );
  }
  return { kind: 'tcp', host: match[1] ?? match[2] ?? LOOPBACK, port };
}

/** The address as `parseAddress` reads it. */
export function formatAddress(address: Address): string {
  return address.kind === 'unix' ? `unix:${address.path}` : `tcp:${bracketed(address.host)}:${address.port}`;
}

/** The NBD URI of an export at an address, as clients take it. */
export function exportUri(address: Address, exportName: string): string {
  const name = encodeURIComponent(exportName);
  if (address.kind === 'unix') return `nbd+unix:///${name}?socket=${encodeURI(address.path)}`;
  const port = address.port === NBD_PORT ? '' : `:${address.port}`;
  return `nbd://${bracketed(address.host)}${port}/${name}`;
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
