/** How V8 compiles this program. */
import { loadNow } from '../sys/load-now.ts';

/** A command file that is not through by then is a long one. */
const LONG_MS = 10;
/** In bytes of bytecode; 920 by V8's own choice. */
const INLINED_BYTES = 300;

/**
 * For a run of many commands: lets V8 put less into one function from those that it calls. 20,000 short commands end while
 * the optimising compiler is still busy on what processors are left; it is through sooner then, with a tenth less work
 * (Node 20.20). Short runs do not pay for it: they end before.
 */
export function compileForManyCommands(): void {
  setTimeout(
    () => loadNow('node:v8').setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${INLINED_BYTES}`),
    LONG_MS,
  ).unref();
}
