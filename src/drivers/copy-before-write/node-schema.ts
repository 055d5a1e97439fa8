/**
 * The options of nodes as QEMU's schema has them (qapi/block-core.json of 7.2): copy-before-write has its own checked
 * by it, and those of everything below, before it opens its target.
 */
import type { SchemaAlternate, SchemaMembers, SchemaObject, SchemaType } from '../../block/options/option-schema.ts';
import { eventNames } from '../../block/events/events.ts';

/** Values of an enumeration, from words. */
function oneOf(words: string): SchemaType {
  return { values: words.split(' ') };
}

/** Members of one type that may be left out, from words. */
function optional(words: string, type: SchemaType): SchemaMembers {
  return Object.fromEntries(words.split(' ').map((word) => [`${word}?`, type]));
}

const node: SchemaAlternate = { name: 'BlockdevRef', object: () => nodeSchema, text: 'str' };
const nodeOrNull: SchemaAlternate = { ...node, name: 'BlockdevRefOrNull', mayBeNull: true };

const format: SchemaMembers = { file: node };
const overlay: SchemaMembers = { ...format, 'backing?': nodeOrNull };

const file: SchemaMembers = {
  filename: 'str',
  'pr-manager?': 'str',
  'locking?': oneOf('on off auto'),
  'aio?': oneOf('threads native io_uring'),
  'aio-max-batch?': 'int',
  'drop-cache?': 'bool',
  'x-check-cache-dropped?': 'bool',
};

const nullDevice: SchemaMembers = { 'size?': 'int', 'latency-ns?': 'uint64', 'read-zeroes?': 'bool' };

const keySecret: SchemaMembers = { 'key-secret?': 'str' };

/** The encryption of an image: its formats differ. */
function encryption(formats: readonly string[]): SchemaObject {
  return {
    members: { format: { values: formats } },
    branches: { by: 'format', members: new Map(formats.map((name) => [name, keySecret])) },
  };
}

const overlapParts =
  'main-header active-l1 active-l2 refcount-table refcount-block snapshot-table ' +
  'inactive-l1 inactive-l2 bitmap-directory';
const overlapMode = oneOf('none constant cached all');
const overlapCheck: SchemaAlternate = {
  name: 'Qcow2OverlapChecks',
  object: () => ({ members: { 'template?': overlapMode, ...optional(overlapParts, 'bool') } }),
  text: overlapMode,
};

const qcow2: SchemaMembers = {
  ...overlay,
  ...optional('lazy-refcounts pass-discard-request pass-discard-snapshot pass-discard-other', 'bool'),
  'overlap-check?': overlapCheck,
  ...optional('cache-size l2-cache-size l2-cache-entry-size refcount-cache-size cache-clean-interval', 'int'),
  'encrypt?': encryption(['aes', 'luks']),
  'data-file?': node,
};

const event: SchemaType = { values: eventNames };
const ioType = oneOf('read write write-zeroes discard flush block-status');
const permissions: SchemaType = { listOf: oneOf('consistent-read write write-unchanged resize') };

const blkdebug: SchemaMembers = {
  image: node,
  'config?': 'str',
  'align?': 'int',
  ...optional('max-transfer opt-write-zero max-write-zero opt-discard max-discard', 'int32'),
  'inject-error?': {
    listOf: {
      members: {
        event,
        'state?': 'int',
        'iotype?': ioType,
        ...optional('errno sector', 'int'),
        ...optional('once immediately', 'bool'),
      },
    },
  },
  'set-state?': { listOf: { members: { event, 'state?': 'int', new_state: 'int' } } },
  'take-child-perms?': permissions,
  'unshare-child-perms?': permissions,
};

const internetAddress: SchemaMembers = {
  host: 'str',
  port: 'str',
  'numeric?': 'bool',
  'to?': 'uint16',
  ...optional('ipv4 ipv6 keep-alive mptcp', 'bool'),
};

const socketAddress: SchemaObject = {
  members: { type: oneOf('inet unix vsock fd') },
  branches: {
    by: 'type',
    members: new Map([
      ['inet', internetAddress],
      ['unix', { path: 'str', ...optional('abstract tight', 'bool') }],
      ['vsock', { cid: 'str', port: 'str' }],
      ['fd', { str: 'str' }],
    ]),
  },
};

const nbd: SchemaMembers = {
  server: socketAddress,
  ...optional('export tls-creds tls-hostname x-dirty-bitmap', 'str'),
  ...optional('reconnect-delay open-timeout', 'uint32'),
};

const url: SchemaMembers = {
  url: 'str',
  ...optional('readahead timeout', 'int'),
  ...optional('username password-secret proxy-username proxy-password-secret', 'str'),
};

const quorum: SchemaMembers = {
  'blkverify?': 'bool',
  children: { listOf: node },
  'vote-threshold': 'int',
  'rewrite-corrupted?': 'bool',
  'read-pattern?': oneOf('quorum fifo'),
};

const copyBeforeWrite: SchemaMembers = {
  ...format,
  target: node,
  'bitmap?': { members: { node: 'str', name: 'str' } },
  'on-cbw-error?': oneOf('break-guest-write break-snapshot'),
  'cbw-timeout?': 'uint32',
  'min-cluster-size?': { since: 'minClusterSize', type: 'size' },
};

/** The options of each driver beside those of every node. */
const drivers: ReadonlyMap<string, SchemaMembers> = new Map<string, SchemaMembers>([
  ['blkdebug', blkdebug],
  [
    'blklogwrites',
    {
      ...format,
      log: node,
      'log-sector-size?': 'uint32',
      'log-append?': 'bool',
      'log-super-update-interval?': 'uint64',
    },
  ],
  ['blkreplay', { image: node }],
  ['blkverify', { test: node, raw: node }],
  ...['bochs', 'cloop', 'compress', 'dmg', 'parallels', 'snapshot-access', 'vdi', 'vhdx', 'vpc'].map(
    (name): [string, SchemaMembers] => [name, format],
  ),
  ['copy-before-write', copyBeforeWrite],
  ['copy-on-read', { ...format, 'bottom?': 'str' }],
  ...['file', 'host_cdrom', 'host_device'].map((name): [string, SchemaMembers] => [name, file]),
  ['ftp', url],
  ['ftps', { ...url, 'sslverify?': 'bool' }],
  ['gluster', { volume: 'str', path: 'str', server: { listOf: socketAddress }, 'debug?': 'int', 'logfile?': 'str' }],
  ['http', { ...url, ...optional('cookie cookie-secret', 'str') }],
  ['https', { ...url, 'cookie?': 'str', 'sslverify?': 'bool', 'cookie-secret?': 'str' }],
  [
    'iscsi',
    {
      transport: oneOf('tcp iser'),
      portal: 'str',
      target: 'str',
      'lun?': 'int',
      ...optional('user password-secret initiator-name', 'str'),
      'header-digest?': oneOf('crc32c none crc32c-none none-crc32c'),
      'timeout?': 'int',
    },
  ],
  ['luks', { ...format, ...keySecret }],
  ['nbd', nbd],
  [
    'nfs',
    {
      server: { members: { type: oneOf('inet'), host: 'str' } },
      path: 'str',
      ...optional('user group tcp-syn-count readahead-size page-cache-size debug', 'int'),
    },
  ],
  ['null-aio', nullDevice],
  ['null-co', nullDevice],
  ['nvme', { device: 'str', namespace: 'int' }],
  ['preallocate', { ...format, ...optional('prealloc-align prealloc-size', 'int') }],
  ['qcow', { ...overlay, 'encrypt?': encryption(['aes']) }],
  ['qcow2', qcow2],
  ['qed', overlay],
  ['quorum', quorum],
  ['raw', { ...format, ...optional('offset size', 'int') }],
  [
    'rbd',
    {
      pool: 'str',
      'namespace?': 'str',
      image: 'str',
      ...optional('conf snapshot', 'str'),
      'encrypt?': {
        members: { format: oneOf('luks luks2') },
        branches: { by: 'format', members: new Map(['luks', 'luks2'].map((name) => [name, { 'key-secret': 'str' }])) },
      },
      'user?': 'str',
      'auth-client-required?': { listOf: oneOf('cephx none') },
      'key-secret?': 'str',
      'server?': { listOf: { members: { host: 'str', port: 'str' } } },
    },
  ],
  ['replication', { ...format, mode: oneOf('primary secondary'), 'top-id?': 'str' }],
  [
    'ssh',
    {
      server: { members: internetAddress },
      path: 'str',
      'user?': 'str',
      'host-key-check?': {
        members: { mode: oneOf('none hash known_hosts') },
        branches: {
          by: 'mode',
          members: new Map([['hash', { type: oneOf('md5 sha1 sha256'), hash: 'str' }]]),
        },
      },
    },
  ],
  ['throttle', { 'throttle-group': 'str', file: node }],
  ['vmdk', overlay],
  ['vvfat', { dir: 'str', 'fat-type?': 'int', 'floppy?': 'bool', 'label?': 'str', 'rw?': 'bool' }],
]);

/** A node of any driver. */
export const nodeSchema: SchemaObject = {
  members: {
    driver: { values: [...drivers.keys()] },
    'node-name?': 'str',
    'discard?': oneOf('ignore unmap'),
    'cache?': { members: optional('direct no-flush', 'bool') },
    ...optional('read-only auto-read-only force-share', 'bool'),
    'detect-zeroes?': oneOf('off on unmap'),
  },
  branches: { by: 'driver', members: drivers },
};
