/** Putting on stable storage what was written to a file. */
import { fdatasyncSync } from 'node:fs';
import { libc } from './libc.ts';
import { HostError } from '../util/errno.ts';

/** fdatasync(2). Throws the host's error, as a HostError or an error of Node. */
export function syncData(fd: number): void {
  const host = libc();
  if (host === null) fdatasyncSync(fd);
  else if (host.fdatasync(fd) < 0) throw new HostError(host.errno());
}
