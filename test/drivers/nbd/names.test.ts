/** File names and options of exports: their meaning, and QEMU's texts for those that make no sense (qemu-io 7.2.22). */
import { describe, expect, it } from 'vitest';
import { Options, type OptionValue } from '../../../src/block/options/options.ts';
import { parseFilename } from '../../../src/drivers/nbd/filename.ts';
import { takeOptions } from '../../../src/drivers/nbd/options.ts';
import { uriOf } from '../../../src/drivers/nbd/uri.ts';

/** The options that a file name stands for: "key=value …". */
function named(filename: string): string {
  const options = new Options();
  parseFilename(filename, options);
  return [...options].map(([key, value]) => `${key.replace('server.', '')}=${String(value)}`).join(' ');
}

function taken(options: Record<string, OptionValue>): ReturnType<typeof takeOptions> {
  return takeOptions(new Options(Object.entries(options)), new Map());
}

describe('a file name', () => {
  it.each([
    ['nbd:', ''],
    ['nbd:unix:', 'type=unix path='],
    ['nbd:unix:/s:exportname=a', 'export=a type=unix path=/s'],
    ['nbd:localhost:1', 'type=inet host=localhost port=1'],
    ['nbd:localhost:1:exportname=', ''],
    ['nbd:[::1]:5:exportname=a b', 'export=a b type=inet host=::1 port=5'],
    ['nbd::10999', 'type=inet host= port=10999'],
    ['nbd:localhost: 1', 'type=inet host=localhost port= 1'],
    ['nbd:localhost:1,ipv4,to=10,ipv6=off,keep-alive=on,mptcp', 'type=inet host=localhost port=1'],
    ['nbd:localhost:1,foo', 'type=inet host=localhost port=1'],
    [`nbd:h:${'0'.repeat(40)}1`, `type=inet host=h port=${'0'.repeat(32)}`],
    ['nbd://localhost', 'type=inet host=localhost port=10809'],
    ['nbd://localhost:0/', 'type=inet host=localhost port=10809'],
    ['nbd://user@localhost:010999/%65xp?#part', 'type=inet host=localhost port=10999 export=exp'],
    ['nbd+tcp://[::1]:5//a', 'type=inet host=::1 port=5 export=/a'],
    ['nbd+unix:///?socket=%2ftmp/s&', 'type=unix path=/tmp/s'],
    ['nbd+unix://?&socket=s', 'type=unix path=s'],
    ['nbd+unix://@/a%00b?socket=', 'type=unix path= export=a'],
    ['nbd+unix:/exp?socket=a://b', 'type=unix path=a://b export=exp'],
  ])('%s stands for its options', (filename, options) => {
    const sorted = (text: string): string[] => text.split(' ').sort();
    expect(sorted(named(filename))).toEqual(sorted(options));
  });

  it.each<[string, string]>([
    ['nbd:x', "error parsing address 'x'"],
    ['nbd:localhost:', "error parsing address 'localhost:'"],
    ['nbd::', "error parsing port in address ':'"],
    ['nbd:[::1:5', "error parsing IPv6 address '[::1:5'"],
    [`nbd:${'h'.repeat(65)}:1`, `error parsing address '${'h'.repeat(65)}:1'`],
    ['nbd:h:1,to=x', 'error parsing to= argument'],
    ['nbd:h:1,to=1x', 'error parsing to= argument'],
    ['nbd:h:1,ipv4=foo', "error parsing 'ipv4' flag '=foo'"],
    ['nbd:h:1,ipv4=on,,x', "error parsing 'ipv4' flag '=on,,x'"],
    ['nbd:h:1,ipv4x', "error parsing 'ipv4' flag 'x'"],
    ['nbd:h:1,keep-alive=q', "error parsing 'keep-alive' flag '=q'"],
    ['nbd+tcp:h:1', "File name string for NBD must start with 'nbd:'"],
    ['foo', "File name string for NBD must start with 'nbd:'"],
    ...[
      'nbd://',
      'nbd:///exp',
      'nbd://h:abc/',
      'nbd://h:/a',
      'nbd://h:99999/',
      'nbd://h/a?x=1',
      'nbd://h/a?socket#x',
      'nbd://h/a[',
      'nbd://h/é',
      'nbd://h/%zz',
      'nbd://lo cal/',
      'nbd:foo://bar',
      'nbd+unix://',
      'nbd+unix:///a',
      'nbd+unix:///?socket',
      'nbd+unix:///?sockt=/s',
      'nbd+unix:///?=x',
      'nbd+unix:///?socket=/s&x=1',
      'nbd+unix:///?socket=/s;x=1',
      'nbd+unix://h/?socket=/s',
      'nbd+unix://:5/?socket=/s',
    ].map((name): [string, string] => [name, 'No valid URL specified']),
  ])('%s is refused', (filename, message) => {
    expect(() => named(filename)).toThrow(message);
  });

  it('may not stand beside options that say the same', () => {
    for (const key of ['host', 'port', 'path', 'export', 'server.type']) {
      const refused = (): void => parseFilename('nbd:unix:/s', new Options([[key, 'x']]));
      expect(refused).toThrow(`Option '${key}' cannot be used with a file name`);
    }
  });
});

describe('options', () => {
  const inet = { 'server.type': 'inet', 'server.host': 'h', 'server.port': '1' };
  it.each<[Record<string, OptionValue>, string]>([
    [{}, 'NBD server address missing'],
    [{ port: '1' }, 'NBD server address missing'],
    [{ path: '/x', host: 'y' }, 'path and host may not be used at the same time'],
    [{ path: '/x', port: '1' }, 'port may not be used without host'],
    [{ host: 'y', 'server.type': 'unix' }, "Cannot use 'server' and path/host/port at the same time"],
    [{ 'server.path': '/x' }, "Parameter 'type' is missing"],
    [{ 'server.type': 'foo' }, "Parameter 'type' does not accept value 'foo'"],
    [{ 'server.type': 5 }, "Parameter 'type' does not accept value '5'"],
    [{ 'server.type': 'unix' }, "Parameter 'path' is missing"],
    [{ 'server.type': 'inet', 'server.port': '1' }, "Parameter 'host' is missing"],
    [{ 'server.type': 'inet', 'server.host': 'h' }, "Parameter 'port' is missing"],
    [{ 'server.type': 'vsock' }, "Parameter 'cid' is missing"],
    [{ 'server.type': 'fd' }, "Parameter 'str' is missing"],
    [{ 'server.type': 'fd', 'server.str': 'x' }, 'Unable to parse FD number x'],
    [{ 'server.type': 'fd', 'server.str': '9999' }, "File descriptor '9999' is not a socket"],
    [{ 'server.type': 'inet', 'server.host': null, 'server.port': '1' }, 'Internal error: parameter host invalid'],
    [{ ...inet, 'server.foo': '1' }, "Parameter 'foo' is unexpected"],
    [{ ...inet, 'server.b.c': '1' }, "Parameter 'b' is unexpected"],
    [{ ...inet, 'server.to': 'x' }, "Parameter 'to' expects integer"],
    [{ ...inet, 'server.to': '70000' }, "Parameter 'to' expects uint16_t"],
    [{ ...inet, 'server.ipv4': 'maybe' }, "Parameter 'ipv4' expects 'on' or 'off'"],
    [{ 'server.type.x': '1' }, "Parameters 'type.*' are unexpected"],
    [{ 'server.type': 'unix', 'server.path': '/x', 'server.path.y': '1' }, 'Cannot mix scalar and non-scalar keys'],
    [{ 'server.0': 'unix' }, "Invalid parameter type for '<anonymous>', expected: object"],
    [{ path: '/x', 'reconnect-delay': 'x' }, "Parameter 'reconnect-delay' expects a number"],
    [{ path: '/x', export: 'x'.repeat(4097) }, 'export name too long to send to server'],
    [{ path: '/x', 'x-dirty-bitmap': 'x'.repeat(4097) }, 'x-dirty-bitmap query too long to send to server'],
    [{ path: '/x', 'tls-creds': 't0' }, "No TLS credentials with id 't0'"],
  ])('%o are refused', (options, message) => {
    expect(() => taken(options)).toThrow(message);
  });
});

describe('the URI', () => {
  it.each<[Record<string, OptionValue>, string | null]>([
    [{ path: '/s' }, 'nbd+unix://?socket=/s'],
    [{ path: '/s', export: 'a' }, 'nbd+unix:///a?socket=/s'],
    [{ host: 'h' }, 'nbd://h:10809'],
    [{ host: '::1', port: '5', export: '' }, 'nbd://::1:5/'],
    [{ 'server.type': 'inet', 'server.host': 'h', 'server.port': '1', 'server.ipv4': 'on' }, null],
    [{ 'server.type': 'inet', 'server.host': 'h', 'server.port': '1', 'server.to': '3' }, null],
    [{ 'server.type': 'vsock', 'server.cid': '1', 'server.port': '1' }, null],
    [{ path: `/${'s'.repeat(5000)}` }, null],
  ])('of %o is what messages show', (options, uri) => {
    expect(uriOf(taken(options))).toBe(uri);
  });
});
