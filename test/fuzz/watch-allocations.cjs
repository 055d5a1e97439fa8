/** Preloaded into the program: says when more memory is asked for at once than any image or text may cause. */
'use strict';
const { writeSync } = require('node:fs');

const LIMIT_BYTES = 256 * 2 ** 20;

/** @param {number} bytes */
function check(bytes) {
  if (bytes > LIMIT_BYTES) writeSync(2, `fuzz: allocation of ${bytes} bytes\n${new Error('asked for here').stack}\n`);
}

for (const name of /** @type {const} */ (['alloc', 'allocUnsafe', 'allocUnsafeSlow'])) {
  const original = Buffer[name];
  /** @param {number} bytes @param {unknown[]} rest */
  const watched = (bytes, ...rest) => {
    check(bytes);
    return Reflect.apply(original, Buffer, [bytes, ...rest]);
  };
  Reflect.set(Buffer, name, watched);
}

/** @param {string} name @param {number} width Bytes of an element. */
function watch(name, width) {
  const original = Reflect.get(globalThis, name);
  /** @type {ProxyHandler<Function>} */
  const handler = {
    construct(target, args, newTarget) {
      if (typeof args[0] === 'number') check(args[0] * width);
      return Reflect.construct(target, args, newTarget === watched ? target : newTarget);
    },
  };
  const watched = new Proxy(original, handler);
  Reflect.set(globalThis, name, watched);
}

watch('ArrayBuffer', 1);
watch('Uint8Array', 1);
watch('Uint16Array', 2);
watch('Uint32Array', 4);
watch('Int32Array', 4);
watch('Float64Array', 8);
watch('BigUint64Array', 8);
