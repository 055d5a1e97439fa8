/**
 * Locks between programs that share an image, in QEMU's byte layout: for each permission a byte that says "I use it"
 * (from 100) and one that says "no other process may use it" (from 200). The bytes are only ever locked shared; a
 * conflict is found by asking whether the opposite byte is locked by another process.
 */
import { BlockError, errorWithErrno } from '../../block/error.ts';
import { Perm } from '../../block/flags.ts';
import { permissionNames } from '../../block/graph/permissions.ts';
import { lockByte, lockConflict, unlockByte } from '../../sys/locks.ts';
import { Errno } from '../../util/errno.ts';

const USED_BASE = 100;
const UNSHARED_BASE = 200;
const PERMISSIONS = [Perm.CONSISTENT_READ, Perm.WRITE, Perm.WRITE_UNCHANGED, Perm.RESIZE];

/** The permissions whose bytes are locked now. */
interface Held {
  used: number;
  unshared: number;
}

/** The locks of one open file, which follow the permissions of its node. */
export class FileLocks {
  readonly #held: Held = { used: 0, unshared: 0 };
  #perm = 0;
  #shared: number = Perm.ALL;

  /**
   * Locks what the new permissions need in addition to the old ones, and looks for conflicts. After a failure `abort`
   * must follow. `filename` is for the hint.
   */
  check(fd: number, perm: number, shared: number, filename: string): void {
    const asksNothingNew = (this.#perm | perm) === this.#perm && (this.#shared & shared) === this.#shared;
    if (asksNothingNew) return;
    take(fd, this.#held, this.#perm | perm, Perm.ALL & (~this.#shared | ~shared));
    try {
      checkConflicts(fd, perm, shared);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      throw new BlockError(error.errno, `${error.message}\nIs another process using the image [${filename}]?`);
    }
  }

  /** Takes the same locks on a second descriptor of the file. */
  copyTo(fd: number, perm: number, shared: number): void {
    take(fd, { used: 0, unshared: 0 }, perm, Perm.ALL & ~shared);
  }

  /** Gives back what the new permissions do not need. */
  commit(fd: number, perm: number, shared: number): void {
    this.#perm = perm;
    this.#shared = shared;
    release(fd, this.#held, perm, Perm.ALL & ~shared);
  }

  /** Gives back what was taken for permissions that did not come. */
  abort(fd: number): void {
    release(fd, this.#held, this.#perm, Perm.ALL & ~this.#shared);
  }
}

function take(fd: number, held: Held, used: number, unshared: number): void {
  for (const [index, bit] of PERMISSIONS.entries()) {
    if ((used & ~held.used & bit) !== 0) {
      takeByte(fd, USED_BASE + index);
      held.used |= bit;
    }
  }
  for (const [index, bit] of PERMISSIONS.entries()) {
    if ((unshared & ~held.unshared & bit) !== 0) {
      takeByte(fd, UNSHARED_BASE + index);
      held.unshared |= bit;
    }
  }
}

function takeByte(fd: number, byte: number): void {
  const errno = lockByte(fd, byte);
  if (errno !== 0) throw lockError(errno, `Failed to lock byte ${byte}`);
}

/** Unlocking fails only on hosts in trouble; there is nothing to be done about it then. */
function release(fd: number, held: Held, used: number, unshared: number): void {
  for (const [index, bit] of PERMISSIONS.entries()) {
    if ((held.used & ~used & bit) !== 0) unlockByte(fd, USED_BASE + index);
    if ((held.unshared & ~unshared & bit) !== 0) unlockByte(fd, UNSHARED_BASE + index);
  }
  held.used &= used;
  held.unshared &= unshared;
}

function checkConflicts(fd: number, perm: number, shared: number): void {
  for (const [index, bit] of PERMISSIONS.entries()) {
    if ((perm & bit) === 0) continue;
    const errno = lockConflict(fd, UNSHARED_BASE + index);
    if (errno !== 0) throw lockError(errno, `Failed to get "${permissionNames(bit)}" lock`);
  }
  for (const [index, bit] of PERMISSIONS.entries()) {
    if ((shared & bit) !== 0) continue;
    const errno = lockConflict(fd, USED_BASE + index);
    if (errno !== 0) throw lockError(errno, `Failed to get shared "${permissionNames(bit)}" lock`);
  }
}

/** A lock of another process is no error of the host and goes without its text. */
function lockError(errno: number, message: string): BlockError {
  const isConflict = errno === Errno.EAGAIN || errno === Errno.EACCES;
  return isConflict ? new BlockError(errno, message) : errorWithErrno(errno, message);
}
