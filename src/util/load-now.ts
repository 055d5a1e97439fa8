/** Modules that few runs need, loaded when one does. */

/** The built program is CommonJS and has one; the tests run the source as it is. */
const requireNow =
  typeof require === 'function' ? require : process.getBuiltinModule('node:module').createRequire(import.meta.url);

/**
 * The module of this name, loaded at the first call. Against `import()` it gives the module and not a promise of it,
 * and the bundler need not bring a file of helpers of its own to be read at every start.
 */
export function loadNow(name: 'node:child_process'): typeof import('node:child_process');
export function loadNow(name: 'node:crypto'): typeof import('node:crypto');
export function loadNow(name: 'node:os'): typeof import('node:os');
export function loadNow(name: 'node:net'): typeof import('node:net');
export function loadNow(name: 'node:tty'): typeof import('node:tty');
export function loadNow(name: 'node:v8'): typeof import('node:v8');
export function loadNow(name: 'node:vm'): typeof import('node:vm');
export function loadNow(name: 'node:zlib'): typeof import('node:zlib');
export function loadNow(name: string): unknown;
export function loadNow(name: string): unknown {
  return requireNow(name);
}
