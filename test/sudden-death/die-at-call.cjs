/**
 * Preloaded into blkscope: kills it by SIGKILL right before the host call number `DIE_AT` that changes a file or asks
 * for its data to be on the disk. With `DIE_TORN`, if that call is a write, its first pages are written: the kernel,
 * too, gives up a write that was begun between two pages. Without `DIE_AT` the number of such calls goes into the file
 * `DIE_COUNT`.
 */
'use strict';
const fs = require('node:fs');
const Module = require('node:module');

const PAGE_BYTES = 4096;
const last = Number(process.env.DIE_AT ?? Number.POSITIVE_INFINITY);
const tears = process.env.DIE_TORN !== undefined;
const countFile = process.env.DIE_COUNT;
let calls = 0;

/** Counts a call; the last one begins with `firstPart`, and has no end. @param {() => void} [firstPart] */
function count(firstPart) {
  calls += 1;
  if (calls < last) return;
  if (tears) firstPart?.();
  process.kill(process.pid, 'SIGKILL');
}

/** @typedef {(fd: number, data: Uint8Array, bytes: number, offset: number) => number} Pwrite */

/** @param {Pwrite} pwrite @returns {Pwrite} */
const countedWrite = (pwrite) => (fd, data, bytes, offset) => {
  count(() => {
    const pages = Math.floor((offset + bytes - 1) / PAGE_BYTES) - Math.floor(offset / PAGE_BYTES);
    if (pages > 0) pwrite(fd, data, PAGE_BYTES * Math.ceil(pages / 2) - (offset % PAGE_BYTES), offset);
  });
  return pwrite(fd, data, bytes, offset);
};

/** @template {(...args: any[]) => unknown} F @param {F} call @returns {F} */
const counted = (call) =>
  /** @type {F} */ (
    (...args) => {
      count();
      return call(...args);
    }
  );

/** koffi whose C library counts. @param {any} koffi */
const countingKoffi = (koffi) => ({
  ...koffi,
  /** @param {unknown[]} args */
  load(...args) {
    const library = koffi.load(...args);
    return {
      /** @param {string} prototype */
      func(prototype) {
        const call = library.func(prototype);
        if (/\bpwrite\b/.test(prototype)) return countedWrite(call);
        return /\bfallocate\b/.test(prototype) ? counted(call) : call;
      },
    };
  },
});

const loader = /** @type {{ _load(this: void, request: string, ...rest: unknown[]): any }} */ (
  /** @type {unknown} */ (Module)
);
const load = loader._load;
loader._load = (request, ...rest) => {
  const loaded = load(request, ...rest);
  return request === 'koffi' ? countingKoffi(loaded) : loaded;
};
for (const name of /** @type {const} */ (['ftruncateSync', 'fdatasyncSync', 'fsyncSync'])) fs[name] = counted(fs[name]);
if (countFile !== undefined) process.on('exit', () => fs.writeFileSync(countFile, String(calls)));
