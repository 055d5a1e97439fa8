/** Gives the lines of another session as they come, for programs. */
import type { Socket } from 'node:net';
import { StringDecoder } from 'node:string_decoder';
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import { checkGreeting, connectTo, GREETING_MS, limitGreeting } from '../control/control-link.ts';

/** Far beyond any line of ours. */
const MAX_LINE_CHARS = 16 << 20;

/** A connection to a monitor that gives lines. */
class LineSocket {
  readonly #socket: Socket;
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /**
   * Calls `take` for every line until the other side ends, or `stop` was called. What `take` throws ends it as well.
   */
  read(take: (line: string) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.on('data', (bytes: Buffer) => {
        try {
          this.#split(bytes, take);
        } catch (error) {
          reject(error);
          this.stop();
        }
      });
      // A session that died has ended as well.
      this.#socket.on('error', () => resolve());
      this.#socket.on('close', () => resolve());
    });
  }

  stop(): void {
    this.#socket.destroy();
  }

  #split(bytes: Buffer, take: (line: string) => void): void {
    const lines = (this.#rest + this.#decoder.write(bytes)).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > MAX_LINE_CHARS) throw new BlockError(Errno.EPROTO, 'The session sends a line without end');
    for (const line of lines) take(line);
  }
}

/** The last line of a session that ends in order begins so. */
const END = '{"kind":"end"';

/**
 * Writes the lines of a session as they come, for programs: NDJSON, as in a recording. Resolves when the session ends:
 * true if it did so in order. EPROTO for a peer that is no session, ETIMEDOUT for one that says nothing.
 */
export async function attachLines(
  path: string,
  write: (text: string) => void,
  greetingMs = GREETING_MS,
): Promise<boolean> {
  const lines = new LineSocket(await connectTo(path));
  let hasEnded = false;
  let isGreeted = false;
  let failure: BlockError | null = null;
  const stopLimit = limitGreeting(path, greetingMs, (error) => {
    failure = error;
    lines.stop();
  });
  try {
    await lines.read((line) => {
      if (!isGreeted) checkGreeting(line);
      isGreeted = true;
      stopLimit();
      hasEnded = line.startsWith(END);
      write(`${line}\n`);
    });
  } finally {
    stopLimit();
  }
  if (failure !== null) throw failure;
  return hasEnded;
}
