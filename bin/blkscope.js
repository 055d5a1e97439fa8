#!/usr/bin/env node
/** The start of the program, `dist/cli/main.js`. From 22.1 on, Node keeps compiled code in the user's cache folder. */
'use strict';
const { existsSync, mkdirSync } = require('node:fs');
const path = require('node:path');

/** @typedef {{ enableCompileCache?: (folder: string) => void }} CompileCache -- Node 22.0 has none */

/** Never in the temporary folder, Node's default, where another user could put code in our way. */
function keepCompiledCode() {
  // Node 20 has none, and would only be slower for being asked.
  if (Number.parseInt(process.versions.node, 10) < 22) return;
  const { enableCompileCache } = /** @type {CompileCache} */ (require('node:module'));
  const { HOME = '', XDG_CACHE_HOME = HOME && path.join(HOME, '.cache') } = process.env;
  if (enableCompileCache === undefined || !path.isAbsolute(XDG_CACHE_HOME)) return;
  const folder = path.join(XDG_CACHE_HOME, 'blkscope');
  try {
    // Node's way to make folders below others never ends in /proc.
    if (!existsSync(XDG_CACHE_HOME)) mkdirSync(XDG_CACHE_HOME, 0o700);
    if (!existsSync(folder)) mkdirSync(folder, 0o700);
    enableCompileCache(folder);
  } catch {
    // A folder that cannot be made: the code is compiled at each start.
  }
}

const program = path.join(__dirname, '../dist/cli/main.js');
if (existsSync(program)) {
  keepCompiledCode();
  require(program);
} else {
  console.error('blkscope: the program has not been built; run "npm start" or "npm test" once');
  process.exitCode = 1;
}
