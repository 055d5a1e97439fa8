#!/usr/bin/env node
'use strict';
// CommonJS, like the bundle (see package.json beside this): an ES module here would cost a third of the start-up time.
try {
  require('../dist/cli/main.js');
} catch (error) {
  if (error.code !== 'MODULE_NOT_FOUND') throw error;
  console.error('blkscope: the program has not been built; run "npm start" or "npm test" once');
  process.exitCode = 1;
}
