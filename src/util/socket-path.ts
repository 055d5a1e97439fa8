/** Whether a Unix socket may be made at a path: not in the place of another file, nor where others could replace it. */
import { lstatSync, statSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';

/** The longest path that a socket can have (sun_path of Linux, with its NUL). */
const MAX_PATH_BYTES = 107;

/** Why no socket can be made: the code of an error ("EADDRINUSE"), with a reason where the code does not tell it. */
export interface SocketRefusal {
  readonly code: string;
  readonly reason?: string;
}

/**
 * Makes way for a socket: one that nothing listens on any more is removed, nothing else is. Null if it can be made;
 * EADDRINUSE if something listens there, EEXIST for another kind of file, EPERM for a folder that others may change,
 * ENAMETOOLONG, or the error of the folder.
 */
export async function claimSocketPath(socketPath: string): Promise<SocketRefusal | null> {
  if (Buffer.byteLength(socketPath) > MAX_PATH_BYTES) return { code: 'ENAMETOOLONG' };
  const refusal = refusalOfFolder(path.dirname(path.resolve(socketPath)));
  if (refusal !== null) return refusal;
  const stats = lstatSync(socketPath, { throwIfNoEntry: false });
  if (stats === undefined) return null;
  if (!stats.isSocket()) return { code: 'EEXIST' };
  if (await isAnswered(socketPath)) return { code: 'EADDRINUSE' };
  unlinkSync(socketPath);
  return null;
}

/** Who may change the folder could put another socket in the place of ours. */
function refusalOfFolder(folder: string): SocketRefusal | null {
  let stats;
  try {
    stats = statSync(folder);
  } catch (error) {
    return { code: (error as NodeJS.ErrnoException).code ?? 'EIO' };
  }
  const self = process.getuid?.() ?? stats.uid;
  const isForeign = stats.uid !== self && stats.uid !== 0;
  const isOpen = (stats.mode & 0o022) !== 0 && (stats.mode & 0o1000) === 0;
  return isForeign || isOpen ? { code: 'EPERM', reason: `others may change the folder '${folder}'` } : null;
}

function isAnswered(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(socketPath);
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
