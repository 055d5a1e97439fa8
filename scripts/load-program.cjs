/**
 * The start of the built program, copied to `dist/cli/main.js`: runs `program.js` beside it with the compiled code that the
 * build kept. Another version of Node does not take that and compiles anew.
 */
'use strict';
const { readFileSync, writeFileSync } = require('node:fs');
const { createRequire, wrap } = require('node:module');
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

const script = new Script(wrap(readFileSync(filename, 'latin1')), { filename, cachedData: keptCode() });
if (process.env.BLKSCOPE_KEEP_CODE !== undefined)
  process.on('exit', () => writeFileSync(codeFile, script.createCachedData()));
const program = { exports: {} };
script.runInThisContext()(program.exports, createRequire(filename), program, filename, __dirname);
