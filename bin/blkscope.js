#!/usr/bin/env -S MALLOC_TRIM_THRESHOLD_=67108864 MALLOC_TOP_PAD_=1048576 node --v8-pool-size=1
/**
 * The start of the program: runs `dist/cli/main.js`, and the files that it requires when they are needed, with the compiled
 * code that the build kept of each. Another version of Node does not take that and compiles anew. Node's own loader would
 * ask the file system a dozen questions a file, and an ES module here would cost a third of the start-up time.
 *
 * What stands in the first line is for short scripts, over which V8 compiles at full stretch:
 * - one thread for that, as with four of them the compilers take the processor from the requests: on two processors 20,000
 *   commands took a tenth less time so;
 * - the memory that the compiler needs for each function is kept for the next one and not given back to the host in
 *   between (glibc's malloc, whose default is 128 KiB): 2 to 5 % less, and more where the host is short of memory.
 */
'use strict';
const { existsSync, readFileSync, writeFileSync } = require('node:fs');
const path = require('node:path');
const { Script } = require('node:vm');

const FOLDER = path.join(__dirname, '../dist/cli');
/** The build sees to it that this is plain ASCII, which is read faster so. */
const PROGRAM = './main.js';
/** What Node puts around a module; its own way to say so takes a third of a millisecond to load. */
const BEFORE = '(function (exports, require, module, __filename, __dirname) { ';
const keepsCode = process.env.BLKSCOPE_KEEP_CODE !== undefined;
/** What was loaded, by the name in the build's `require`. @type {Map<string, { exports: unknown }>} */
const modules = new Map();

/** @param {string} name */
function requireBuilt(name) {
  return name.startsWith('./') ? (modules.get(name) ?? load(name)).exports : require(name);
}

/** @param {string} name of a file of the build, `./NAME.js` */
function load(name) {
  const filename = `${FOLDER}/${name.slice(2)}`;
  const codeFile = filename.replace(/\.js$/, '.code');
  const source = `${BEFORE}${readFileSync(filename, name === PROGRAM ? 'latin1' : 'utf8')}\n})`;
  const script = new Script(source, { filename, cachedData: keptCode(codeFile) });
  if (keepsCode && !existsSync(codeFile)) process.on('exit', () => writeFileSync(codeFile, script.createCachedData()));
  const module = { exports: {} };
  modules.set(name, module);
  script.runInThisContext()(module.exports, requireBuilt, module, filename, FOLDER);
  return module;
}

/** @param {string} codeFile @returns {Buffer | undefined} */
function keptCode(codeFile) {
  try {
    return readFileSync(codeFile);
  } catch {
    return undefined;
  }
}

try {
  load(PROGRAM);
} catch (error) {
  const { code } = /** @type {NodeJS.ErrnoException} */ (error);
  if (code !== 'ENOENT' || modules.size > 0) throw error;
  console.error('blkscope: the program has not been built; run "npm start" or "npm test" once');
  process.exitCode = 1;
}
