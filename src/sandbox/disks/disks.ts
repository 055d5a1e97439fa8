/** The files of one case: which there are, what uses them, and the log of what was done to them. */
import { BlockError } from '../../block/error.ts';
import { Perm } from '../../block/flags.ts';
import { permissionNames } from '../../block/graph/permissions.ts';
import { assert } from '../../util/assert.ts';
import { Errno } from '../../util/errno.ts';
import type { FileRequest, LogEntry } from './disk-log.ts';
import { MemoryDisk, type PagePool } from './memory-disk.ts';
import type { ReadOnlyFile } from './read-only-file.ts';

/** The permissions that a node uses on a file, and those that it leaves to others. */
export interface Use {
  perm: number;
  shared: number;
}

/** One file of a case. */
export interface CaseDisk {
  /** Index in the order in which the case opened them. */
  readonly number: number;
  /** The name that it was opened by first. */
  readonly path: string;
  readonly content: MemoryDisk;
  /** The file that it began as. */
  readonly file: ReadOnlyFile;
  /** By each node that has it open. */
  readonly uses: Set<Use>;
}

const PERMISSIONS = [Perm.CONSISTENT_READ, Perm.WRITE, Perm.WRITE_UNCHANGED, Perm.RESIZE];

/** The files that a world knows, opened once for all cases. */
export class FileSet {
  readonly #open: (path: string) => ReadOnlyFile;
  readonly #byPath = new Map<string, ReadOnlyFile>();
  readonly #byIdentity = new Map<string, ReadOnlyFile>();

  constructor(open: (path: string) => ReadOnlyFile) {
    this.#open = open;
  }

  /** The file of this name. Throws BlockError with QEMU's texts if there is none. */
  find(path: string): ReadOnlyFile {
    const known = this.#byPath.get(path);
    if (known !== undefined) return known;
    const opened = this.#open(path);
    const same = this.#byIdentity.get(opened.identity);
    if (same !== undefined) opened.close();
    const file = same ?? opened;
    this.#byIdentity.set(file.identity, file);
    this.#byPath.set(path, file);
    return file;
  }

  close(): void {
    for (const file of this.#byIdentity.values()) file.close();
    this.#byIdentity.clear();
    this.#byPath.clear();
  }
}

/** The disks of one case. */
export class Disks {
  /** In the order in which they were opened. */
  readonly all: CaseDisk[] = [];
  /** Each change and flush, in order; empty unless `keepsLog`. */
  readonly log: LogEntry[] = [];
  /** Numbers of the disks that were changed. */
  readonly changed = new Set<number>();
  /** Requests so far that reached a file, reads included: a case that never ends is told by it. */
  requestCount = 0;
  readonly #files: FileSet;
  readonly #pool: PagePool;
  readonly #keepsLog: boolean;
  readonly #byFile = new Map<ReadOnlyFile, CaseDisk>();

  constructor(files: FileSet, pool: PagePool, keepsLog: boolean) {
    this.#files = files;
    this.#pool = pool;
    this.#keepsLog = keepsLog;
  }

  /** The disk of a file name. Throws BlockError with QEMU's texts if there is no such file. */
  open(path: string): CaseDisk {
    const file = this.#files.find(path);
    let disk = this.#byFile.get(file);
    if (disk === undefined) {
      disk = { number: this.all.length, path, content: new MemoryDisk(file, this.#pool), file, uses: new Set() };
      this.all.push(disk);
      this.#byFile.set(file, disk);
    }
    return disk;
  }

  /** Notes a change or a flush that was done. */
  note(request: FileRequest, data: Buffer | null): void {
    if (request.kind === 'read') return;
    if (request.kind !== 'flush') this.changed.add(request.disk);
    if (!this.#keepsLog) return;
    const copy = data === null ? null : Buffer.from(data);
    this.log.push({ ...request, kind: request.kind, data: copy });
  }

  /** These disks as they are now, apart from them: a case may be taken up from here more than once. */
  fork(keepsLog = false): Disks {
    const copy = new Disks(this.#files, this.#pool, keepsLog);
    for (const { path, content } of this.all) copy.open(path).content.copyFrom(content);
    return copy;
  }

  /** Disks with the same files as they are on the host. */
  pristine(keepsLog = false): Disks {
    const fresh = new Disks(this.#files, this.#pool, keepsLog);
    for (const { path } of this.all) fresh.open(path);
    return fresh;
  }

  /** Does to the disks what an entry of a log says, without a note of it. */
  apply({ kind, disk, offset, bytes, data }: LogEntry): void {
    const content = this.all[disk]?.content;
    assert(content !== undefined, 'a log names disks that are there');
    if (kind === 'write' && data !== null) content.write(offset, data);
    else if (kind === 'zero') zero(content, offset, bytes);
    else if (kind === 'discard') content.punch(offset, bytes);
    else if (kind === 'truncate') content.truncate(offset);
  }

  /** See `MemoryDisk.digest`. */
  digest(): string {
    return this.all.map(({ content }) => content.digest()).join(' ');
  }

  /** Ends all uses: the program that had the disks open is gone. */
  abandon(): void {
    for (const { uses } of this.all) uses.clear();
  }

  /** Gives the memory back. The disks must not be used any more. */
  release(): void {
    for (const { content } of this.all) content.reset();
  }
}

/** Makes a range read as zeroes; a disk that ends in it grows. */
export function zero(content: MemoryDisk, offset: number, bytes: number): void {
  if (offset + bytes > content.lengthBytes) content.truncate(offset + bytes);
  content.punch(offset, bytes);
}

/** Throws EAGAIN, as QEMU's locks do between its nodes, if another use of the disk excludes this one. */
export function checkUse(disk: CaseDisk, own: Use, perm: number, shared: number): void {
  for (const bit of PERMISSIONS) {
    for (const other of disk.uses) {
      if (other === own) continue;
      if ((perm & bit) !== 0 && (other.shared & bit) === 0) throw lockError('', bit, disk);
      if ((shared & bit) === 0 && (other.perm & bit) !== 0) throw lockError('shared ', bit, disk);
    }
  }
}

function lockError(kind: '' | 'shared ', bit: number, { path }: CaseDisk): BlockError {
  const message = `Failed to get ${kind}"${permissionNames(bit)}" lock`;
  return new BlockError(Errno.EAGAIN, `${message}\nIs another process using the image [${path}]?`);
}
