/** An NBD server over memory that can be told to answer otherwise: lies, refusals, silence, a closed connection. */
import { createServer, type Server, type Socket } from 'node:net';
import { type TLSSocketOptions, TLSSocket } from 'node:tls';
import {
  Command,
  CommandFlag,
  encodeOptionReply,
  GREETING_MAGIC,
  Info,
  Option,
  OptionReply,
  TransmissionFlag,
} from '../../../src/nbd/wire.ts';

/** A request as the server got it. */
export interface Request {
  readonly type: number;
  readonly flags: number;
  readonly offset: number;
  readonly length: number;
  readonly cookie: Buffer;
  readonly data: Buffer | null;
}

/** A connection, for functions that answer in place of the server. */
export interface Peer {
  readonly socket: Socket;
  /** Sends bytes. */
  readonly send: (...parts: Buffer[]) => void;
  /** Answers a request as an honest server does. */
  readonly answer: (request: Request) => void;
}

/** How a server differs from an honest one. */
export interface Behaviour {
  /** Bytes in place of the greeting, after which nothing more is read. */
  greeting?: Buffer;
  flags?: number;
  /** Minimum, preferred, maximum; none is told by default. */
  blockSizes?: readonly [number, number, number];
  hasStructuredReplies?: boolean;
  /** How to speak TLS when it is asked for. */
  tls?: TLSSocketOptions;
  hasContext?: boolean;
  /** Replies to an option in place of the server's; undefined for its own, null to close the connection. */
  onOption?: (option: number, data: Buffer) => Buffer[] | null | undefined;
  /** Changes what is sent, message by message; null closes the connection in its place. */
  mangle?: (message: Buffer) => Buffer | null;
  /** Takes a request over; false to let the server answer. */
  onRequest?: ((request: Request, peer: Peer) => boolean | void) | undefined;
}

const commandNames = Object.fromEntries(Object.entries(Command).map(([name, type]) => [type, name]));

/** 32 bits. */
export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** 16 bits. */
export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

/** 64 bits. */
export function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

/** A simple reply to a request, without data. */
export function simpleReply(cookie: Buffer, error = 0): Buffer {
  return Buffer.concat([u32(0x67446698), u32(error), cookie]);
}

/** A chunk of a structured reply; `length` if it is to be another one than that of the payload. */
export function chunk(cookie: Buffer, type: number, flags: number, payload: Buffer, length = payload.length): Buffer {
  return Buffer.concat([u32(0x668e33ef), u16(flags), u16(type), cookie, u32(length), payload]);
}

/** Yields how many bytes it wants and is given them, or "tls" and is given the socket to go on with. */
type Conversation = Generator<number | 'tls', void, Buffer | TLSSocket>;

function* take(bytes: number): Generator<number, Buffer, Buffer | TLSSocket> {
  const taken = yield bytes;
  if (taken instanceof TLSSocket) throw new Error('a socket in place of bytes');
  return taken;
}

/** A server of one export, on a socket in the file system. */
export class ScriptedServer {
  readonly content: Buffer;
  behaviour: Behaviour;
  /** Requests as they came: "WRITE 512@0 fua". */
  readonly log: string[] = [];
  readonly connections: Socket[] = [];
  #server: Server | null = null;
  readonly #path: string;

  constructor(path: string, bytes: number, behaviour: Behaviour = {}) {
    this.#path = path;
    this.content = Buffer.alloc(bytes);
    this.behaviour = behaviour;
  }

  /** The bits of `TransmissionFlag` that are told. */
  get flags(): number {
    const { HAS_FLAGS, SEND_FLUSH, SEND_FUA, SEND_TRIM, SEND_WRITE_ZEROES, SEND_FAST_ZERO } = TransmissionFlag;
    const all = HAS_FLAGS | SEND_FLUSH | SEND_FUA | SEND_TRIM | SEND_WRITE_ZEROES | SEND_FAST_ZERO;
    return this.behaviour.flags ?? all;
  }

  async start(): Promise<void> {
    const server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
    this.#server = server;
    await new Promise<void>((resolve) => {
      server.listen(this.#path, resolve);
    });
  }

  /** Closes all connections and stops listening. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    this.disconnect();
    if (server === null) return;
    await new Promise((resolve) => {
      server.close(resolve);
    });
  }

  /** Closes all connections; new ones are taken. */
  disconnect(): void {
    for (const socket of this.connections.splice(0)) socket.destroy();
  }

  #serve(socket: Socket): void {
    this.connections.push(socket);
    socket.on('error', () => {});
    socket.on('end', () => socket.end());
    const { greeting } = this.behaviour;
    this.#send(socket, greeting ?? Buffer.concat([GREETING_MAGIC, u16(3)]));
    if (greeting !== undefined) return;
    const conversation = this.#converse(socket);
    this.#feed(socket, conversation, conversation.next());
  }

  /** Gives a conversation what arrives; it goes on by TLS when it asks for that. */
  #feed(socket: Socket, conversation: Conversation, begun: IteratorResult<number | 'tls', void>): void {
    let input = Buffer.alloc(0);
    let wanted = begun;
    socket.on('data', (data: Buffer) => {
      input = Buffer.concat([input, data]);
      while (wanted.done !== true && wanted.value !== 'tls' && input.length >= wanted.value) {
        const taken = input.subarray(0, wanted.value);
        input = input.subarray(wanted.value);
        wanted = conversation.next(taken);
      }
      if (wanted.value !== 'tls') return;
      socket.removeAllListeners('data');
      const secure = new TLSSocket(socket, { ...this.behaviour.tls, isServer: true });
      secure.on('error', () => {});
      this.#feed(secure, conversation, conversation.next(secure));
    });
  }

  *#converse(plain: Socket): Conversation {
    let socket = plain;
    yield* take(4);
    for (;;) {
      const header = yield* take(16);
      const option = header.readUInt32BE(8);
      const data = yield* take(header.readUInt32BE(12));
      const own = this.behaviour.onOption?.(option, data);
      if (own === null) {
        socket.end();
        return;
      }
      for (const reply of own ?? this.#answerOption(option)) this.#send(socket, reply);
      if (option === Option.EXPORT_NAME) {
        this.#send(socket, Buffer.concat([u64(this.content.length), u16(this.flags)]));
        break;
      }
      if (option === Option.ABORT) return;
      if (option === Option.STARTTLS && this.behaviour.tls !== undefined) {
        const secure = yield 'tls';
        if (secure instanceof TLSSocket) socket = secure;
      }
      if (option === Option.GO && own === undefined) break;
    }
    const peer: Peer = {
      socket,
      send: (...parts) => this.#send(socket, Buffer.concat(parts)),
      answer: (request) => this.#answer(request, peer),
    };
    for (;;) {
      const header = yield* take(28);
      const type = header.readUInt16BE(6);
      const length = header.readUInt32BE(24);
      const request: Request = {
        type,
        flags: header.readUInt16BE(4),
        cookie: Buffer.from(header.subarray(8, 16)),
        offset: Number(header.readBigUInt64BE(16)),
        length,
        data: type === Command.WRITE ? Buffer.from(yield* take(length)) : null,
      };
      const flags = Object.entries(CommandFlag).filter(([, bit]) => (request.flags & bit) !== 0);
      const words = flags.map(([name]) => ` ${name.toLowerCase()}`).join('');
      this.log.push(`${commandNames[type] ?? type} ${length}@${request.offset}${words}`);
      if (type === Command.DISC) {
        socket.end();
        return;
      }
      if (this.behaviour.onRequest?.(request, peer) !== true) this.#answer(request, peer);
    }
  }

  #send(socket: Socket, message: Buffer): void {
    const mangled = this.behaviour.mangle === undefined ? message : this.behaviour.mangle(message);
    if (socket.destroyed || socket.writableEnded) return;
    if (mangled === null) socket.end();
    else socket.write(mangled);
  }

  #answerOption(option: number): Buffer[] {
    const { hasStructuredReplies = true, hasContext = true, blockSizes } = this.behaviour;
    const ack = encodeOptionReply(option, OptionReply.ACK, Buffer.alloc(0));
    if (option === Option.STRUCTURED_REPLY && hasStructuredReplies) return [ack];
    if (option === Option.STARTTLS && this.behaviour.tls !== undefined) return [ack];
    if (option === Option.SET_META_CONTEXT && hasContext) {
      const payload = Buffer.concat([u32(7), Buffer.from('base:allocation')]);
      return [encodeOptionReply(option, OptionReply.META_CONTEXT, payload), ack];
    }
    if (option === Option.GO) {
      const sizes = blockSizes ?? [];
      const block = Buffer.concat([u16(Info.BLOCK_SIZE), ...sizes.map(u32)]);
      const info = Buffer.concat([u16(Info.EXPORT), u64(this.content.length), u16(this.flags)]);
      const replies = sizes.length > 0 ? [block, info] : [info];
      return [...replies.map((payload) => encodeOptionReply(option, OptionReply.INFO, payload)), ack];
    }
    if (option === Option.EXPORT_NAME) return [];
    return [encodeOptionReply(option, OptionReply.ERR_UNSUP, Buffer.alloc(0))];
  }

  #answer({ type, offset, length, cookie, data }: Request, peer: Peer): void {
    const { hasStructuredReplies = true } = this.behaviour;
    const part = this.content.subarray(offset, offset + length);
    if (type === Command.WRITE) data?.copy(this.content, offset);
    if (type === Command.WRITE_ZEROES) part.fill(0);
    if (type === Command.READ && hasStructuredReplies) {
      peer.send(chunk(cookie, 1, 1, Buffer.concat([u64(offset), part])));
    } else if (type === Command.READ) {
      peer.send(simpleReply(cookie), Buffer.from(part));
    } else if (type === Command.BLOCK_STATUS) {
      // Whole blocks of 4 KiB that are zero are holes.
      const end = Math.min(offset - (offset % 4096) + 4096, this.content.length);
      const isHole = this.content.subarray(offset - (offset % 4096), end).every((byte) => byte === 0);
      peer.send(chunk(cookie, 5, 1, Buffer.concat([u32(7), u32(Math.min(end - offset, length)), u32(isHole ? 3 : 0)])));
    } else {
      peer.send(simpleReply(cookie));
    }
  }
}
