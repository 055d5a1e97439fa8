/** The log that a search for losses of power stands on: of the scenario, run once, or of another program. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { asBlockError, BlockError, prependError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import { Case, type FinishedCase } from '../case.ts';
import type { World } from '../world.ts';
import type { LogEntry } from '../../sandbox/disks/disk-log.ts';
import { ReadOnlyFile } from '../../sandbox/disks/read-only-file.ts';
import { Timeline } from './timeline.ts';
import { encodeWriteLog, readWriteLog } from './write-log.ts';

/** Of the data of a log that another program wrote. */
const LOG_MAX_BYTES = 1 << 30;

/** The scenario, run once; or an image that another program has written to, with the log of that. */
export interface Recording {
  readonly finished: FinishedCase;
  readonly log: readonly LogEntry[];
  /** Null where nothing is known of what the user was told. */
  readonly timeline: Timeline | null;
}

/**
 * Runs the scenario; with `logFile` it has no lines, and the log is that file's. Throws BlockError if the image or the
 * log cannot be opened.
 */
export async function record(world: World, logFile: string | undefined): Promise<Recording> {
  let running: Case | null = null;
  const timeline = new Timeline(() => running?.logLength ?? 0);
  running = new Case(world, { watcher: timeline.watch, keepsLog: true });
  const finished = await running.run();
  if (!finished.wasOpened) throw new BlockError(Errno.EINVAL, finished.transcript.stderr.trimEnd());
  finished.disks.abandon();
  if (logFile === undefined) return { finished, log: finished.disks.log, timeline };
  return { finished, log: readLogFile(logFile), timeline: null };
}

function readLogFile(path: string): LogEntry[] {
  const file = new ReadOnlyFile(path);
  try {
    return readWriteLog(file, LOG_MAX_BYTES);
  } catch (error) {
    throw error instanceof BlockError ? prependError(error, `${path}: `) : error;
  } finally {
    file.close();
  }
}

/** Writes the log of the first disk for other programs. Throws BlockError if the file cannot be written. */
export function exportLog(path: string, { finished, log }: Recording): void {
  const disks = finished.disks.pristine();
  let done = 0;
  const parts = encodeWriteLog(log, (index, offset, data) => {
    for (; done < index; done++) disks.apply(log[done] as LogEntry);
    disks.all[0]?.content.read(offset, data);
  });
  try {
    const fd = openSync(path, 'w');
    for (const part of parts) writeSync(fd, part);
    closeSync(fd);
  } catch (error) {
    throw prependError(asBlockError(error), `${path}: `);
  } finally {
    disks.release();
  }
}
