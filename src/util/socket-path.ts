/** Whether a Unix socket may be made at a path: not in the place of another file, nor where others could replace it. */
import { lstatSync, statSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';

/** The longest path that a socket can have (sun_path of Linux, with its NUL). */
const MAX_PATH_BYTES = 107;

/** The path of a socket as Node takes it: a number alone would be a TCP port. */
export function socketName(socketPath: string): string {
  return /^\d+$/.test(socketPath) ? `./${socketPath}` : socketPath;
}

/** Why no socket can be made: the code of an error ("EADDRINUSE"), with a reason where the code does not tell it. */
export interface SocketRefusal {
  readonly code: string;
  readonly reason?: string;
}

/**
 * Makes way for a socket: one that nothing listens on any more is removed, nothing else is. Null if it can be made;
 * EADDRINUSE if something listens there, EEXIST for another kind of file, EPERM for a folder that others may change,
 * ENAMETOOLONG, ENOENT for an empty path, or the error of the host.
 */
export async function claimSocketPath(socketPath: string): Promise<SocketRefusal | null> {
  if (socketPath === '') return { code: 'ENOENT' };
  if (Buffer.byteLength(socketPath) > MAX_PATH_BYTES) return { code: 'ENAMETOOLONG' };
  try {
    const folder = path.dirname(path.resolve(socketPath));
    if (canOthersChange(folder)) return { code: 'EPERM', reason: `others may change the folder '${folder}'` };
    const stats = lstatSync(socketPath, { throwIfNoEntry: false });
    if (stats === undefined) return null;
    if (!stats.isSocket()) return { code: 'EEXIST' };
    if (await isAnswered(socketPath)) return { code: 'EADDRINUSE' };
    unlinkSync(socketPath);
    return null;
  } catch (error) {
    return { code: (error as NodeJS.ErrnoException).code ?? 'EIO' };
  }
}

/** A user who may change the folder could put another socket in the place of ours. */
function canOthersChange(folder: string): boolean {
  const stats = statSync(folder);
  const self = process.getuid?.() ?? stats.uid;
  const isForeign = stats.uid !== self && stats.uid !== 0;
  const isOpen = (stats.mode & 0o022) !== 0 && (stats.mode & 0o1000) === 0;
  return isForeign || isOpen;
}

function isAnswered(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socketName(socketPath));
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // Refused: nothing listens. Anything else (no right to connect) is in use.
    probe.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}
