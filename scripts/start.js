/**
 * Behind `npm start`: the program on the arguments given, or on the demo image if there are none. It runs in this
 * very process, so that the terminal and its signals are the program's own.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('../bin/blkscope.js', import.meta.url));
const given = process.argv.slice(2);
process.argv = [process.execPath, program, ...(given.length > 0 ? given : ['--demo'])];
// npm changes to the project's folder; file names in ARGS are meant from where the user is.
process.chdir(process.env.INIT_CWD ?? path.dirname(program));
createRequire(import.meta.url)(program);
