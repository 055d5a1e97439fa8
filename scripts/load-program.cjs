/**
 * The start of the built program, copied to `dist/cli/main.js`: runs `program.js` beside it, and the files that this
 * requires when they are needed, with the compiled code that the build kept of each. Another version of Node does not take
 * that and compiles anew. Node's own loader would ask the file system a dozen questions a file.
 */
'use strict';
const { existsSync, readFileSync, writeFileSync } = require('node:fs');
const { Script } = require('node:vm');

/** The build sees to it that this is plain ASCII, which is read faster so. */
const PROGRAM = './program.js';
/** What Node puts around a module; its own way to say so takes a third of a millisecond to load. */
const BEFORE = '(function (exports, require, module, __filename, __dirname) { ';
const keepsCode = process.env.BLKSCOPE_KEEP_CODE !== undefined;
/** What was loaded, by the name in the build's `require`. @type {Map<string, { exports: unknown }>} */
const modules = new Map();

/** @param {string} name */
function requireBuilt(name) {
  return name.startsWith('./') ? (modules.get(name) ?? load(name)).exports : require(name);
}

/** @param {string} name of a file beside this one, `./NAME.js` */
function load(name) {
  const filename = `${__dirname}/${name.slice(2)}`;
  const codeFile = filename.replace(/\.js$/, '.code');
  const source = `${BEFORE}${readFileSync(filename, name === PROGRAM ? 'latin1' : 'utf8')}\n})`;
  const script = new Script(source, { filename, cachedData: keptCode(codeFile) });
  if (keepsCode && !existsSync(codeFile)) process.on('exit', () => writeFileSync(codeFile, script.createCachedData()));
  const module = { exports: {} };
  modules.set(name, module);
  script.runInThisContext()(module.exports, requireBuilt, module, filename, __dirname);
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

load(PROGRAM);
