/** Temporary folders of the tests, and `Sandbox`: a folder with the images and files of a case, and their changes. */
import { createHash } from 'node:crypto';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach } from 'vitest';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { withoutContentId } from './content-id.ts';
import { makeQcow, makeQed } from './format-images.js';
import { makeVolume } from './luks-volume.js';
import { makeCowd, makeSeSparse, makeSparseExtent, makeVmdk } from './vmdk-images.js';

const units: Record<string, number> = { '': 1, k: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** A number of bytes: `512`, `64k`, `1M`. */
function parseSize(text: string): number {
  const match = /^(\d+)([kMGT]?)$/.exec(text);
  if (match === null) throw new Error(`not a size: ${text}`);
  return Number(match[1]) * (units[match[2] ?? ''] ?? 1);
}

/** Larger files are told apart by their length alone. */
const DIGEST_MAX_BYTES = 64 * 2 ** 20;

/** A new empty folder, below the one for temporary files unless `parent` is given. The caller removes it. */
export function makeFolder(parent = tmpdir()): string {
  return mkdtempSync(path.join(parent, 'blkscope-test-'));
}

/** A folder for the tests of the file or `describe` that calls this; removed after the last one. */
export function useFolder(): string {
  const folder = makeFolder();
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The folder of `useFolder`, emptied after each test. */
export function useEmptyFolder(): string {
  const folder = useFolder();
  afterEach(() => {
    for (const name of readdirSync(folder)) rmSync(path.join(folder, name), { recursive: true, force: true });
  });
  return folder;
}

/**
 * Images that are made field by field: of luks `word` is the cipher and `keyBytes` its key's length, of qcow2 and qcow
 * it says how they are encrypted, of others it names the backing file. The passphrase is "hunter2".
 */
type Maker = (lengthBytes: number, word: string | undefined, keyBytes: string | undefined) => Buffer;

const makers: Readonly<Record<string, Maker>> = {
  luks(lengthBytes, cipher, keyBytes) {
    const settings = cipher === undefined ? {} : { cipher: cipher as 'aes-xts-plain64', keyBytes: Number(keyBytes) };
    return Buffer.concat([makeVolume(settings), Buffer.alloc(lengthBytes)]);
  },
  qcow2: (lengthBytes, word) =>
    word === undefined
      ? makeImage({ lengthBytes })
      : makeImage({ lengthBytes, encryption: word === 'luks' ? makeVolume() : 'aes' }),
  qed: (lengthBytes, backing) => makeQed({ lengthBytes, backing, clusters: [0, 5, 6] }),
  qcow: (lengthBytes, word) =>
    word === 'aes'
      ? makeQcow({ lengthBytes, isEncrypted: true })
      : makeQcow({ lengthBytes, backing: word, clusters: [0, 5, 6] }),
  vmdk: (lengthBytes, backing) => makeVmdk({ lengthBytes, backing, grainBytes: 65536, clusters: [0, 5, 6] }),
  zeroedVmdk: (lengthBytes, backing) =>
    makeVmdk({ lengthBytes, backing, grainBytes: 4096, clusters: [0, 5, 6], zeroed: [2, 3] }),
  streamVmdk: (lengthBytes) => makeVmdk({ lengthBytes, grainBytes: 65536, clusters: [0, 5, 6], isCompressed: true }),
  footerVmdk: (lengthBytes) =>
    makeVmdk({ lengthBytes, grainBytes: 65536, clusters: [0, 5], isCompressed: true, hasFooter: true }),
  sparseExtent: (lengthBytes) => makeSparseExtent({ lengthBytes, clusters: [0, 2], tableEntries: 128 }),
  cowd: (lengthBytes) => makeCowd({ lengthBytes, clusters: [0, 2] }),
  seSparse: (lengthBytes) => makeSeSparse({ lengthBytes, clusters: [0, 2], zeroed: [3] }),
};

export class Sandbox {
  readonly folder: string;
  #before = new Map<string, string>();

  constructor(parent?: string) {
    this.folder = makeFolder(parent);
  }

  path(name: string): string {
    return path.join(this.folder, name);
  }

  /** A sparse file of this length. */
  image(name: string, lengthBytes: number): void {
    const fd = openSync(this.path(name), 'w+');
    ftruncateSync(fd, lengthBytes);
    closeSync(fd);
  }

  /** Writes a run of one byte value. */
  fill(name: string, offset: number, lengthBytes: number, byte: number): void {
    const fd = openSync(this.path(name), 'r+');
    writeSync(fd, Buffer.alloc(lengthBytes, byte), 0, lengthBytes, offset);
    closeSync(fd);
  }

  /** Writes bytes, in hexadecimal, at an offset. */
  bytes(name: string, offset: number, hex: string): void {
    const fd = openSync(this.path(name), 'r+');
    writeSync(fd, Buffer.from(hex, 'hex'), 0, hex.length / 2, offset);
    closeSync(fd);
  }

  /** Does one line of a set-up: `image NAME SIZE`, `fill NAME OFFSET LENGTH BYTE`, `file NAME` with lines, … */
  prepare(words: readonly string[], text: string): void {
    const [verb = '', name, first, second, third] = words;
    const maker = makers[verb];
    if (name === undefined) throw new Error(`set-up without a name: ${words.join(' ')}`);
    if (verb === 'image' && first !== undefined) this.image(name, parseSize(first));
    else if (verb === 'fill' && first !== undefined && second !== undefined && third !== undefined)
      this.fill(name, parseSize(first), parseSize(second), Number(third));
    else if (verb === 'bytes' && first !== undefined && second !== undefined)
      this.bytes(name, parseSize(first), second);
    else if (maker !== undefined && first !== undefined) {
      writeFileSync(this.path(name), maker(parseSize(first), second, third));
    } else if (verb === 'file') writeFileSync(this.path(name), text, 'latin1');
    else if (verb === 'dir') mkdirSync(this.path(name));
    else if (verb === 'link' && first !== undefined) symlinkSync(first, this.path(name));
    else throw new Error(`unknown set-up: ${words.join(' ')}`);
  }

  #describe(): Map<string, string> {
    const files = new Map<string, string>();
    for (const name of readdirSync(this.folder).sort()) {
      const stat = statSync(this.path(name), { throwIfNoEntry: false });
      if (stat === undefined || !stat.isFile()) continue;
      const { size } = stat;
      const digest =
        size > DIGEST_MAX_BYTES
          ? '-'
          : createHash('sha1')
              .update(withoutContentId(readFileSync(this.path(name))))
              .digest('hex')
              .slice(0, 12);
      files.set(name, `${size} ${digest}`);
    }
    return files;
  }

  /** Remembers the files as they are now. */
  snapshot(): void {
    this.#before = this.#describe();
  }

  /** A line for each file that changed since the snapshot: its name, length in bytes and digest. */
  changes(): string[] {
    const after = this.#describe();
    const lines: string[] = [];
    for (const [name, description] of after) {
      if (this.#before.get(name) !== description) lines.push(`${name} ${description}`);
    }
    for (const name of this.#before.keys()) if (!after.has(name)) lines.push(`${name} removed`);
    return lines;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
