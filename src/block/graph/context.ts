/**
 * State that the nodes of one session share: the drivers, the loop, the bus, the names in use, and where messages go.
 */
import { Errno } from '../../util/errno.ts';
import type { BlockBackend } from '../backend.ts';
import { type Compat, defaultCompat } from '../compat.ts';
import { BlockError } from '../error.ts';
import type { DriverTable } from '../open/driver-table.ts';
import type { OverlayMaker } from '../open/overlay.ts';
import { TraceBus } from '../events/trace.ts';
import type { EventLoop } from '../loop/loop.ts';
import type { UserObject } from '../user-object.ts';
import type { BlockNode, ChildLink } from './node.ts';

/** Allocates a zeroed buffer. */
export type Allocator = (bytes: number) => Buffer;

/** Makes the backend of an image that was opened: the edge is its root. */
export type BackendMaker = (root: ChildLink) => BlockBackend;

/** The parts of a context. Lines come without the newline. */
export interface ContextSettings {
  readonly loop: EventLoop;
  readonly drivers: DriverTable;
  /** Null where snapshot mode is not to be had. */
  readonly makeOverlay?: OverlayMaker | null;
  /** Left out: a plain `BlockBackend`. */
  readonly makeBackend?: BackendMaker | undefined;
  /** Objects that nodes may use, by id. */
  readonly objects?: ReadonlyMap<string, UserObject>;
  /** The version of QEMU whose behaviour this is: 7.2 by default. */
  readonly compat?: Compat | undefined;
  /** The prefix of messages: "qemu-io" by default. */
  readonly programName?: string;
  readonly stdout?: (line: string) => void;
  readonly stderr?: (line: string) => void;
  /** The bus of a session that begins anew; left out: one of its own. */
  readonly trace?: TraceBus;
  /** Ends the program, as exit(3) does. Left out where what runs is only a part of it. */
  readonly exit?: ((status: number) => never) | undefined;
}

/** Shared by all nodes of one session. */
export class GraphContext {
  readonly loop: EventLoop;
  readonly trace: TraceBus;
  readonly drivers: DriverTable;
  readonly makeOverlay: OverlayMaker | null;
  readonly makeBackend: BackendMaker | undefined;
  readonly objects: ReadonlyMap<string, UserObject>;
  readonly compat: Compat;
  /** The open nodes by name; kept by `block/graph/graph.ts`, which numbers those without a name of the user's. */
  readonly nodes = new Map<string, BlockNode>();
  nextNodeNumber = 0;
  /** Told of bytes that a protocol driver has read or written, while the progress of a request is shown. */
  onTransfer: ((bytes: number) => void) | undefined = undefined;

  /** A line for standard output: what blkdebug says of suspended requests. */
  readonly say: (line: string) => void;
  /** A line for standard error, as it is. */
  readonly warn: (line: string) => void;

  readonly #exit: ((status: number) => never) | undefined;
  readonly #programName: string;
  readonly #reported = new Set<string>();
  #allocate: Allocator = (bytes) => Buffer.alloc(bytes);

  constructor(settings: ContextSettings) {
    const { loop, drivers, makeOverlay, makeBackend, objects, compat, programName, stdout, stderr, trace } = settings;
    this.loop = loop;
    this.trace = trace ?? new TraceBus(loop.clock);
    this.drivers = drivers;
    this.makeOverlay = makeOverlay ?? null;
    this.makeBackend = makeBackend;
    this.objects = objects ?? new Map();
    this.compat = compat ?? defaultCompat;
    this.#programName = programName ?? 'qemu-io';
    this.say = stdout ?? (() => {});
    this.warn = stderr ?? (() => {});
    this.#exit = settings.exit;
  }

  /** Ends the program with a line on standard error: two images that have to be equal are not. EIO where it goes on. */
  mismatch(line: string): never {
    this.warn(line);
    this.#exit?.(1);
    throw new BlockError(Errno.EIO);
  }

  /** A message for standard error, with the program's name before it: "qemu-io: …". */
  report(message: string): void {
    this.warn(`${this.#programName}: ${message}`);
  }

  /** A `report` that says each message only once in a session. */
  reportOnce(message: string): void {
    if (this.#reported.has(message)) return;
    this.#reported.add(message);
    this.report(message);
  }

  /** A zeroed buffer for a request, aligned for direct I/O once a file is open that needs it. */
  allocate(bytes: number): Buffer {
    return this.#allocate(bytes);
  }

  /** Makes `allocate` use another allocator: page-aligned buffers spare a file with O_DIRECT a copy. */
  useAllocator(allocate: Allocator): void {
    this.#allocate = allocate;
  }
}
