/** The options of a node: which export of which server, and how patiently. */
import { invalidArgument } from '../../block/error.ts';
import type { TlsCredentials, UserObject } from '../../block/user-object.ts';
import { absorbOptions, type Options, takeSub } from '../../block/options/options.ts';
import { clientCredentials } from './tls.ts';
import { parseAddress, type ServerAddress } from './server-address.ts';
import { DEFAULT_PORT } from './filename.ts';
import { MAX_STRING_BYTES } from '../../nbd/wire.ts';

/** The options of a node, checked. */
export interface NbdOptions {
  readonly address: ServerAddress;
  readonly exportName: string | undefined;
  /** `x-dirty-bitmap`: the context that takes the place of `base:allocation`. */
  readonly context: string | undefined;
  /** Null for a connection in the clear. */
  readonly tlsCredentials: TlsCredentials | null;
  /** The name that the server's certificate must have; null if none is known. */
  readonly tlsHostname: string | null;
  readonly reconnectDelaySeconds: number;
  readonly openTimeoutSeconds: number;
}

const runtimeOptions = {
  host: 'string',
  port: 'string',
  path: 'string',
  export: 'string',
  'tls-creds': 'string',
  'tls-hostname': 'string',
  'x-dirty-bitmap': 'string',
  'reconnect-delay': 'number',
  'open-timeout': 'number',
} as const;

/** Takes the options of a node out of `options`. EINVAL with QEMU's texts. */
export function takeOptions(options: Options, objects: ReadonlyMap<string, UserObject>): NbdOptions {
  const parsed = absorbOptions(options, runtimeOptions);
  translateOldAddress(options, parsed);
  const address = parseAddress(takeSub(options, 'server.'));
  const { export: exportName, 'x-dirty-bitmap': context } = parsed;
  if (isTooLong(exportName)) throw invalidArgument('export name too long to send to server');
  const tlsId = parsed['tls-creds'];
  const tlsCredentials = tlsId === undefined ? null : clientCredentials(objects, tlsId);
  if (isTooLong(context)) throw invalidArgument('x-dirty-bitmap query too long to send to server');
  return {
    address,
    exportName,
    context,
    tlsCredentials,
    tlsHostname: parsed['tls-hostname'] ?? (address.type === 'inet' ? address.host : null),
    reconnectDelaySeconds: parsed['reconnect-delay'] ?? 0,
    openTimeoutSeconds: parsed['open-timeout'] ?? 0,
  };
}

function isTooLong(text: string | undefined): boolean {
  return text !== undefined && Buffer.byteLength(text) > MAX_STRING_BYTES;
}

/** `path`, `host` and `port`, as they were written before there was `server`. */
function translateOldAddress(
  options: Options,
  { path, host, port }: { path?: string; host?: string; port?: string },
): void {
  if (path === undefined && host === undefined && port === undefined) return;
  if ([...options.keys()].some((key) => key.startsWith('server.'))) {
    throw invalidArgument("Cannot use 'server' and path/host/port at the same time");
  }
  if (path !== undefined && host !== undefined) throw invalidArgument('path and host may not be used at the same time');
  if (path !== undefined) {
    if (port !== undefined) throw invalidArgument('port may not be used without host');
    options.set('server.type', 'unix');
    options.set('server.path', path);
  } else if (host !== undefined) {
    options.set('server.type', 'inet');
    options.set('server.host', host);
    options.set('server.port', port ?? DEFAULT_PORT);
  }
}
