/** Opening a host file or device: the options, the descriptor, and what is known of it from then on. */
import { closeSync, fstatSync } from 'node:fs';
import { BlockError, invalidArgument } from '../../block/error.ts';
import { Open, Req } from '../../block/flags.ts';
import { fileOptions } from '../../block/options/file-options.ts';
import { absorbOptions, type Options } from '../../block/options/options.ts';
import { libc } from '../../sys/libc.ts';
import { hasFileLocks } from '../../sys/locks.ts';
import { Errno } from '../../util/errno.ts';
import { hostFlagsFor, openDescriptor } from './descriptor.ts';
import { FileLocks } from './locks.ts';
import { isDirect, type FileNode } from './state.ts';

const AIO_MODES = ['threads', 'native', 'io_uring'];
const LOCKING_MODES = ['auto', 'on', 'off'];

/** The kind of file that a driver is for. */
export interface FileKind {
  readonly isDevice: boolean;
  /** Flags of open(2) beyond those that the node's flags ask for. */
  readonly fixedHostFlags: number;
}

/** Opens the file that `options` name, and sets the node's state. */
export function openHostFile(node: FileNode, options: Options, flags: number, kind: FileKind): void {
  const parsed = absorbOptions(options, fileOptions);
  // All modes do the same here; which one may be asked for depends on the others as in QEMU.
  const aio = oneOf(parsed.aio, AIO_MODES, defaultAio(flags));
  const locking = oneOf(parsed.locking, LOCKING_MODES, 'auto');
  if (parsed['pr-manager'] !== undefined) {
    throw invalidArgument(`No persistent reservation manager with id '${parsed['pr-manager']}'`);
  }
  const hostFlags = hostFlagsFor(flags, 0) | kind.fixedHostFlags;
  const fd = openDescriptor(parsed.filename ?? '', hostFlags);
  try {
    if (aio === 'native' && !isDirect({ hostFlags })) {
      const message = 'aio=native was specified, but it requires cache.direct=on, which was not specified.';
      throw invalidArgument(message);
    }
    adoptDescriptor(node, fd, hostFlags, locking, kind);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function adoptDescriptor(node: FileNode, fd: number, hostFlags: number, locking: string, kind: FileKind): void {
  const { isDevice, fixedHostFlags } = kind;
  const stat = fstatSync(fd);
  checkKind(node, isDevice, isDevice ? stat.isCharacterDevice() || stat.isBlockDevice() : stat.isFile());
  warnOfMissingLibc(node);
  node.state = {
    fd,
    hostFlags,
    fixedHostFlags,
    isDevice,
    locks: openLocks(fd, locking),
    reopenFlags: null,
    pending: null,
    canDiscard: true,
    // Zeroes that a device makes below the page cache leave old data in it.
    canZeroRange: !stat.isBlockDevice() || isDirect({ hostFlags }),
    canReserve: !isDevice,
    lostWriteErrno: 0,
    memoryAlignment: 1,
  };
  if (node.context.compat.has('fuaInFile')) node.supportedWriteFlags = Req.FUA;
  node.supportedZeroFlags = Req.MAY_UNMAP | Req.NO_FALLBACK;
  // What a longer file has behind its old end is zero.
  if (stat.isFile()) node.supportedTruncateFlags = Req.ZERO_WRITE;
}

/**
 * Takes the options that a reopen may change, which means nothing here. The others stay where they are, for the block
 * layer to refuse a change; a value that none of them can have is refused already here.
 */
export function takeReopenOptions(options: Options): void {
  absorbOptions(options.clone(), fileOptions);
  absorbOptions(options, { 'drop-cache': 'bool', 'x-check-cache-dropped': 'bool' });
}

function oneOf(value: string | undefined, values: readonly string[], fallback: string): string {
  if (value === undefined) return fallback;
  if (!values.includes(value)) throw invalidArgument(`invalid parameter value: ${value}`);
  return value;
}

function defaultAio(flags: number): string {
  if ((flags & Open.NATIVE_AIO) !== 0) return 'native';
  return (flags & Open.IO_URING) !== 0 ? 'io_uring' : 'threads';
}

function checkKind(node: FileNode, isDevice: boolean, isRight: boolean): void {
  if (isRight) return;
  const wanted = isDevice ? 'either a character or block device' : 'a regular file';
  throw invalidArgument(`'${node.driver.formatName}' driver requires '${node.filename}' to be ${wanted}`);
}

function openLocks(fd: number, locking: string): FileLocks | null {
  if (locking === 'off') return null;
  if (hasFileLocks(fd)) return new FileLocks();
  if (locking === 'auto') return null;
  throw new BlockError(Errno.ENOTSUP, 'locking=on was specified, but this host has no locks on open file descriptions');
}

/** Says once what the program lacks without the C library. */
function warnOfMissingLibc(node: FileNode): void {
  if (libc() !== null) return;
  node.context.reportOnce('warning: the C library cannot be loaded: no locks on images, no holes, no O_DIRECT');
}
