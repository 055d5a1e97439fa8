#!/usr/bin/env -S node --v8-pool-size=1
'use strict';
// One thread for V8's own work: a script is short, and with four of them, compilers in the background take the processor
// from the requests. On two processors 20,000 commands took a tenth less time so.
// CommonJS, like the bundle (see package.json beside this): an ES module here would cost a third of the start-up time.
try {
  require('../dist/cli/main.js');
} catch (error) {
  if (error.code !== 'MODULE_NOT_FOUND') throw error;
  console.error('blkscope: the program has not been built; run "npm start" or "npm test" once');
  process.exitCode = 1;
}
