/** File names of NBD exports: `nbd:HOST:PORT`, `nbd:unix:PATH`, each with `:exportname=NAME`, and NBD URIs. */
import { type BlockError, invalidArgument } from '../../block/error.ts';
import type { Options } from '../../block/options/options.ts';

/** The port that IANA has registered for NBD. */
export const DEFAULT_PORT = '10809';

const EXPORT_MARK = ':exportname=';
const addressKeys = ['host', 'port', 'path', 'export'];

/**
 * Turns a file name into `export` and `server.*`. EINVAL, with QEMU's texts, for one that makes no sense or stands
 * beside such options.
 */
export function parseFilename(filename: string, options: Options): void {
  for (const key of options.orderedKeys()) {
    if (!addressKeys.includes(key) && !key.startsWith('server.')) continue;
    throw invalidArgument(`Option '${key}' cannot be used with a file name`);
  }
  if (filename.includes('://')) parseUri(filename, options);
  else parsePlainName(filename, options);
}

function parsePlainName(filename: string, options: Options): void {
  const mark = filename.indexOf(EXPORT_MARK);
  const name = mark < 0 ? null : filename.slice(mark + EXPORT_MARK.length);
  // An empty name makes QEMU forget the address, too.
  if (name === '') return;
  if (name !== null) options.set('export', name);
  const address = mark < 0 ? filename : filename.slice(0, mark);
  if (!address.startsWith('nbd:')) throw invalidArgument("File name string for NBD must start with 'nbd:'");
  const host = address.slice('nbd:'.length);
  if (host === '') return;
  if (host.startsWith('unix:')) setUnixServer(options, host.slice('unix:'.length));
  else parseInternetAddress(host, options);
}

function setUnixServer(options: Options, path: string): void {
  options.set('server.type', 'unix');
  options.set('server.path', path);
}

function setInternetServer(options: Options, host: string, port: string): void {
  options.set('server.type', 'inet');
  options.set('server.host', host);
  options.set('server.port', port);
}

/** "HOST:PORT,OPTION,…". The options are checked, and mean nothing to NBD. */
function parseInternetAddress(text: string, options: Options): void {
  const match = matchHostAndPort(text);
  const settings = text.slice(match[0].length);
  const to = /,to=(.*)$/s.exec(settings)?.[1];
  if (to !== undefined && !/^\s*[-+]?\d+(?:,|$)/.test(to)) throw invalidArgument('error parsing to= argument');
  for (const flag of ['ipv4', 'ipv6', 'keep-alive', 'mptcp']) checkFlag(flag, settings);
  setInternetServer(options, match[1] ?? '', match[2] ?? '');
}

/** Hosts have up to 64 characters, ports up to 32; what follows is cut off without a word, as sscanf does. */
function matchHostAndPort(text: string): RegExpExecArray {
  let match: RegExpExecArray | null;
  let problem: string;
  if (text.startsWith(':')) {
    match = /^:()([^,]{1,32})/.exec(text);
    problem = 'error parsing port in address';
  } else if (text.startsWith('[')) {
    match = /^\[([^\]]{1,64})\]:([^,]{1,32})/.exec(text);
    problem = 'error parsing IPv6 address';
  } else {
    match = /^([^:]{1,64}):([^,]{1,32})/.exec(text);
    problem = 'error parsing address';
  }
  if (match === null) throw invalidArgument(`${problem} '${text}'`);
  return match;
}

function checkFlag(flag: string, settings: string): void {
  const at = settings.indexOf(`,${flag}`);
  if (at < 0) return;
  const rest = settings.slice(at + 1 + flag.length);
  if (!/^(?:=on|=off)?(?:,(?!,)|$)/.test(rest)) throw invalidArgument(`error parsing '${flag}' flag '${rest}'`);
}

const UNRESERVED = "[-A-Za-z0-9._~!$&'()*+,;=]|%[0-9A-Fa-f]{2}";
const PCHAR = `${UNRESERVED}|[:@]`;
/** RFC 3986, as far as QEMU follows it: scheme, host, port, path, query. */
const uriPattern = new RegExp(
  '^([A-Za-z][-A-Za-z0-9+.]*):' +
    `(?://(?:(?:${UNRESERVED}|:)*@)?(\\[[^\\]]*\\]|(?:${UNRESERVED})*)(?::(\\d+))?(?=[/?#]|$))?` +
    `((?:${PCHAR}|/)*)(?:\\?((?:${PCHAR}|[/?])*))?(?:#(?:${PCHAR}|[/?[\\]])*)?$`,
);

function parseUri(text: string, options: Options): void {
  const [, scheme, host = '', port, path = '', query = ''] = uriPattern.exec(text) ?? [];
  const parameters = queryParameters(query);
  if (scheme === 'nbd+unix') {
    const [socket] = parameters;
    // Without a value there is no path; qemu-io 7.2 crashes.
    const isRight = parameters.length === 1 && socket?.name === 'socket' && socket.value !== undefined;
    if (!isRight || host !== '' || port !== undefined) throw invalidUri();
    setUnixServer(options, socket.value ?? '');
  } else {
    const number = Number(port ?? 0);
    const isKnown = scheme === 'nbd' || scheme === 'nbd+tcp';
    if (!isKnown || parameters.length > 0 || host === '' || number > 0xffff) throw invalidUri();
    setInternetServer(options, hostOf(host), number === 0 ? DEFAULT_PORT : String(number));
  }
  const name = unescape(path.startsWith('/') ? path.slice(1) : path);
  if (name !== '') options.set('export', name);
}

function invalidUri(): BlockError {
  return invalidArgument('No valid URL specified');
}

/** The host without the brackets of an IPv6 address. */
function hostOf(server: string): string {
  return server.startsWith('[') ? server.slice(1, -1) : unescape(server);
}

interface Parameter {
  readonly name: string;
  readonly value: string | undefined;
}

/** The parameters of a query; those without a name do not count. */
function queryParameters(query: string): Parameter[] {
  const parameters: Parameter[] = [];
  const separator = query.includes('&') ? '&' : ';';
  for (const part of query.split(separator)) {
    const [, name, value] = /^([^=]*)(?:=(.*))?$/s.exec(part) ?? [];
    if (name !== undefined && name !== '') {
      parameters.push({ name: unescape(name), value: value === undefined ? undefined : unescape(value) });
    }
  }
  return parameters;
}

/** Text with its "%2f" replaced; it ends at a NUL, as C's strings do. */
function unescape(text: string): string {
  const bytes = text.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  const end = bytes.indexOf('\0');
  return Buffer.from(end < 0 ? bytes : bytes.slice(0, end), 'latin1').toString();
}
