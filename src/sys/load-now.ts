/** Modules that few runs need, loaded when one does. */
import { createRequire } from 'node:module';

let require: NodeJS.Require | undefined;

/**
 * The module of this name, loaded at the first call. Against `import()` it gives the module and not a promise of it, and
 * the bundler need not bring a file of helpers of its own to be read at every start.
 */
export function loadNow(name: 'node:crypto'): typeof import('node:crypto');
export function loadNow(name: 'node:net'): typeof import('node:net');
export function loadNow(name: 'node:tty'): typeof import('node:tty');
export function loadNow(name: 'node:zlib'): typeof import('node:zlib');
export function loadNow(name: string): unknown;
export function loadNow(name: string): unknown {
  require ??= createRequire(import.meta.url);
  return require(name);
}
