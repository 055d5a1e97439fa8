/**
 * The start of the built program, copied to `dist/cli/main.js`: runs `program.js` beside it with the compiled code that the
 * build kept. Another version of Node does not take that and compiles anew.
 */
'use strict';
const { readFileSync, writeFileSync } = require('node:fs');
const Module = require('node:module');
const { Script } = require('node:vm');

const filename = `${__dirname}/program.js`;
const codeFile = `${__dirname}/program.code`;

/** @returns {Buffer | undefined} */
function keptCode() {
  try {
    return readFileSync(codeFile);
  } catch {
    return undefined;
  }
}

const script = new Script(Module.wrap(readFileSync(filename, 'latin1')), { filename, cachedData: keptCode() });
if (process.env.BLKSCOPE_KEEP_CODE !== undefined)
  process.on('exit', () => writeFileSync(codeFile, script.createCachedData()));
// In the module cache, so that the chunks that require the program get this one and do not run it again.
const program = new Module(filename);
program.filename = filename;
program.loaded = true;
require.cache[filename] = program;
script.runInThisContext()(program.exports, Module.createRequire(filename), program, filename, __dirname);
