/** The report of a request that succeeded: its size, its time, its rate. */
import { formatDuration, formatFixed, formatSize } from '../../util/format.ts';
import type { SessionState } from '../session-state.ts';
import type { Size } from '../words/arguments.ts';

/** A request that has succeeded. */
export interface DoneRequest {
  readonly verb: 'read' | 'wrote' | 'discard';
  readonly offset: Size;
  readonly bytes: Size;
  /** One line of bytes, operations, time and rates, for programs. */
  readonly terse: boolean;
}

/** Prints what a request did in `ns` nanoseconds. */
export function printDone({ output }: SessionState, { verb, offset, bytes, terse }: DoneRequest, ns: number): void {
  const time = formatDuration(ns, terse);
  const seconds = ns / 1e9;
  const bytesPerSecond = Number(bytes) / seconds;
  const opsPerSecond = 1 / seconds;
  if (terse) {
    output.stdout(`${bytes},1,${time},${formatFixed(bytesPerSecond, 3)},${formatFixed(opsPerSecond, 3)}\n`);
    return;
  }
  const rates = `${formatSize(bytesPerSecond)}/sec and ${formatFixed(opsPerSecond, 4)} ops/sec`;
  output.stdout(
    `${verb} ${bytes}/${bytes} bytes at offset ${offset}\n${formatSize(Number(bytes))}, 1 ops; ${time} (${rates})\n`,
  );
}
