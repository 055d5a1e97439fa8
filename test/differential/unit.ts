/**
 * Scripts are made of units: lines that belong together, and neither race nor hang in the real program.
 *
 * qemu-io answers several asynchronous requests in the order in which its threads end them, and waits for ever on a
 * breakpoint that only a later command could end. So an asynchronous request is followed by `aio_flush`, and where
 * requests overlap, breakpoints force their order.
 */

/** The parts of the case that a unit depends on. */
export interface Context {
  /** Requests whose order is forced are multiples of this, so that they reach `pwritev` without reading first. */
  readonly alignBytes: number;
  /** … and at most this long, so that they are one fragment. */
  readonly transferMaxBytes: number;
  readonly lengthBytes: number;
  /** The unit of allocation; 1 if there is none. */
  readonly clusterBytes: number;
  /** Neither read-only nor with a flush behind each write, and with blkdebug under a format node. */
  readonly canForceOrder: boolean;
  /** Rules of blkdebug make requests fail, or watch their order. */
  readonly hasRules: boolean;
  /** The file of the image can be opened again: it is no temporary overlay. */
  readonly canReopen: boolean;
  /** The arguments of `open` after `close`: options of its own and the option string. */
  readonly openArguments: string;
}

/** Lines of a script, given what the case is like; one unit shrinks as a whole. */
export interface Unit {
  readonly lines: (context: Context) => readonly string[];
  /** It may change the length, the cache mode or the file: order cannot be forced in such a script. */
  readonly disturbs: boolean;
}

export function unit(lines: (context: Context) => readonly string[], disturbs = false): Unit {
  return { lines, disturbs };
}

export function line(text: string): Unit {
  return unit(() => [text]);
}

export function disturbing(text: string): Unit {
  return unit(() => [text], true);
}
