/** The URI of an export, as messages and `json:{}` names show it. */
import type { NbdOptions } from './options.ts';

/** Longer names, in bytes, are not shown as a URI. */
const MAX_NAME_BYTES = 4095;

/** The URI that opens the same export; null if no URI says all of the address. Nothing in it is escaped. */
export function uriOf({ address, exportName }: Pick<NbdOptions, 'address' | 'exportName'>): string | null {
  let uri: string;
  if (address.type === 'unix') {
    uri = `nbd+unix://${exportName === undefined ? '' : `/${exportName}`}?socket=${address.path}`;
  } else if (address.type === 'inet') {
    if (address.ipv4 !== undefined || address.ipv6 !== undefined || address.hasTo) return null;
    uri = `nbd://${address.host}:${address.port}${exportName === undefined ? '' : `/${exportName}`}`;
  } else {
    return null;
  }
  return Buffer.byteLength(uri) > MAX_NAME_BYTES ? null : uri;
}
