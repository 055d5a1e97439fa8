/** Addresses: how they are read, refused, and given to clients as URIs. */
import { describe, expect, it } from 'vitest';
import { exportUri, formatAddress, parseAddress } from '../../src/nbd/address.ts';

describe('an address', () => {
  it.each([
    ['unix:/tmp/a b', { kind: 'unix', path: '/tmp/a b' }, 'nbd+unix:///x%2Fy?socket=/tmp/a%20b'],
    ['tcp:10809', { kind: 'tcp', host: '127.0.0.1', port: 10809 }, 'nbd://127.0.0.1/x%2Fy'],
    ['tcp:0', { kind: 'tcp', host: '127.0.0.1', port: 0 }, 'nbd://127.0.0.1:0/x%2Fy'],
    ['tcp:example.org:99', { kind: 'tcp', host: 'example.org', port: 99 }, 'nbd://example.org:99/x%2Fy'],
    ['tcp:[::1]:99', { kind: 'tcp', host: '::1', port: 99 }, 'nbd://[::1]:99/x%2Fy'],
  ] as const)('%s is read, written and told', (text, address, uri) => {
    expect(parseAddress(text)).toEqual(address);
    expect(parseAddress(formatAddress(address))).toEqual(address);
    expect(exportUri(address, 'x/y')).toBe(uri);
  });

  it.each(['', 'unix:', 'tcp:', 'tcp:65536', 'tcp:-1', 'tcp:::1:99', 'tcp:[::1]', 'tcp:a:b:1', 'vsock:1', '/tmp/x'])(
    '%j is none',
    (text) => expect(() => parseAddress(text)).toThrow(`'${text}' is not an address`),
  );
});
