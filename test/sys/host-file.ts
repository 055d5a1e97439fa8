/** A temporary file that goes with the test, as descriptors. */
import { closeSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { makeFolder } from '../helpers/sandbox.ts';

export interface HostFile {
  readonly path: string;
  readonly fd: number;
  /** A second open of the same file. */
  readonly reopen: (flags?: string) => number;
  readonly fill: (offset: number, bytes: number, value: number) => void;
}

/** A sparse file of this length, opened to read and write. */
export function hostFile(lengthBytes: number): HostFile {
  const folder = makeFolder();
  const file = path.join(folder, 'file');
  const open: number[] = [];
  const openAgain = (flags = 'r+'): number => {
    const fd = openSync(file, flags);
    open.push(fd);
    return fd;
  };
  const fd = openAgain('w+');
  ftruncateSync(fd, lengthBytes);
  onTestFinished(() => {
    for (const descriptor of open) closeSync(descriptor);
    rmSync(folder, { recursive: true });
  });
  return {
    path: file,
    fd,
    reopen: openAgain,
    fill: (offset, bytes, value) => {
      writeSync(fd, Buffer.alloc(bytes, value), 0, bytes, offset);
    },
  };
}
