/** The option `-T`, for QEMU's trace backends: it is checked as qemu-io does, and then without effect. */
import { accessSync, constants } from 'node:fs';
import { invalidArgument } from '../block/error.ts';
import { parseOptionString } from '../block/options/option-string.ts';
import { hostErrno, strerror } from '../util/errno.ts';
import type { Console } from './command-line.ts';

const traceOptions: ReadonlySet<string> = new Set(['enable', 'events', 'file', 'id']);

/** Checks the argument of `-T`. The exit status where the program ends with that, else null. EINVAL for a wrong key. */
export function checkTraceOption(text: string, console: Console): 0 | 1 | null {
  const options = parseOptionString(text, 'enable', { acceptsId: true });
  for (const key of options.keys()) {
    if (!traceOptions.has(key)) throw invalidArgument(`Invalid parameter '${key}'`);
  }
  const pattern = options.get('enable');
  if (pattern === 'help' || pattern === '?') {
    console.stdout("The trace events of QEMU's own code do not exist here.\n");
    return 0;
  }
  // QEMU says this of a name that it does not have; patterns match what there is, which is nothing here.
  if (typeof pattern === 'string' && pattern !== '' && !pattern.includes('*')) {
    console.stderr(`${console.programName}: warning: trace event '${pattern}' does not exist\n`);
  }
  const events = options.get('events');
  if (typeof events !== 'string') return null;
  try {
    accessSync(events, constants.R_OK);
    return null;
  } catch (error) {
    console.stderr(`${console.programName}:${events}: ${strerror(hostErrno(error))}\n`);
    return 1;
  }
}
