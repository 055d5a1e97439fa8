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

/** A size as reports print it, made anew only when another one comes: scripts are full of requests of one size. */
export class ReportedSize {
  #bytes: Size = -1;
  /** "4096/4096". */
  done = '';
  /** "4 KiB". */
  rounded = '';

  set(bytes: Size): void {
    if (bytes === this.#bytes) return;
    this.#bytes = bytes;
    this.done = `${bytes}/${bytes}`;
    this.rounded = formatSize(Number(bytes));
  }
}

/** Prints what a request did in `ns` nanoseconds. */
export function printDone(session: SessionState, { verb, offset, bytes, terse }: DoneRequest, ns: number): void {
  const { output, reportedSize } = session;
  const time = formatDuration(ns, terse);
  const seconds = ns / 1e9;
  const bytesPerSecond = Number(bytes) / seconds;
  const opsPerSecond = 1 / seconds;
  if (terse) {
    output.stdout(`${bytes},1,${time},${formatFixed(bytesPerSecond, 3)},${formatFixed(opsPerSecond, 3)}\n`);
    return;
  }
  const rates = `${formatSize(bytesPerSecond)}/sec and ${formatFixed(opsPerSecond, 4)} ops/sec`;
  reportedSize.set(bytes);
  const { done, rounded } = reportedSize;
  output.stdout(`${verb} ${done} bytes at offset ${offset}\n${rounded}, 1 ops; ${time} (${rates})\n`);
}
