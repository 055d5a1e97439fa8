/** The report of a request that succeeded: its size, its time, its rate. */
import { formatDuration, formatFixed, formatSize } from '../../util/format.ts';
import type { SessionState } from '../session-state.ts';
import type { Size } from '../words/arguments.ts';

/** How a request is reported. */
export interface ReportOptions {
  /** One line of bytes, operations, time and rates, for programs. */
  readonly terse: boolean;
  /** Only errors are said. */
  readonly quiet: boolean;
}

/** The parts of a report that depend on the size alone: scripts are full of requests of one size. */
export class ReportedSize {
  readonly bytes: Size;
  /** Between the verb and the offset: " 4096/4096 bytes at offset ". */
  readonly done: string;
  /** Between the offset and the time: "\n4 KiB, 1 ops; ". */
  readonly rounded: string;

  constructor(bytes: Size) {
    this.bytes = bytes;
    this.done = ` ${bytes}/${bytes} bytes at offset `;
    this.rounded = `\n${formatSize(Number(bytes))}, 1 ops; `;
  }
}

/** Prints what a request did in `ns` nanoseconds, unless it is to be quiet. */
export function printDone(
  session: SessionState,
  verb: 'read' | 'wrote' | 'discard',
  { offset, bytes }: { readonly offset: Size; readonly bytes: Size },
  { terse, quiet }: ReportOptions,
  ns: number,
): void {
  if (quiet) return;
  const { output } = session;
  const time = formatDuration(ns, terse);
  const seconds = ns / 1e9;
  const bytesPerSecond = Number(bytes) / seconds;
  const opsPerSecond = 1 / seconds;
  if (terse) {
    output.stdout(`${bytes},1,${time},${formatFixed(bytesPerSecond, 3)},${formatFixed(opsPerSecond, 3)}\n`);
    return;
  }
  if (session.reportedSize.bytes !== bytes) session.reportedSize = new ReportedSize(bytes);
  const { done, rounded } = session.reportedSize;
  const bytesRate = formatSize(bytesPerSecond);
  const opsRate = formatFixed(opsPerSecond, 4);
  output.stdout(`${verb}${done}${offset}${rounded}${time} (${bytesRate}/sec and ${opsRate} ops/sec)\n`);
}
