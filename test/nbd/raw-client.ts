/** A client for tests that says exactly what it is told to, and reads what comes. */
import { connect, type Socket } from 'node:net';
import type { Address } from '../../src/nbd/address.ts';

export interface OptionAnswer {
  readonly option: number;
  readonly type: number;
  readonly data: Buffer;
}

/** One reply or one chunk of a reply; `type` is -1 for a simple reply. */
export interface Reply {
  readonly type: number;
  readonly isLast: boolean;
  readonly error: number;
  readonly cookie: bigint;
  readonly data: Buffer;
  /** Only extended replies have it. */
  readonly offset?: bigint;
}

export interface RawRequest {
  readonly type: number;
  readonly flags?: number;
  readonly cookie?: bigint;
  readonly offset?: number | bigint;
  readonly length?: number | bigint;
  readonly payload?: Buffer;
}

export class RawClient {
  readonly socket: Socket;
  isExtended = false;
  isClosed = false;
  #received = Buffer.alloc(0);
  #wake: (() => void) | null = null;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake?.();
    });
    socket.on('error', () => {});
    for (const event of ['end', 'close']) {
      socket.on(event, () => {
        this.isClosed = true;
        this.#wake?.();
      });
    }
  }

  static async connect(address: Address): Promise<RawClient> {
    const socket = address.kind === 'unix' ? connect(address.path) : connect(address.port, address.host);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new RawClient(socket);
  }

  /** A client that has gone through the greeting, with these flags. */
  static async greeted(address: Address, flags = 3): Promise<RawClient> {
    const client = await RawClient.connect(address);
    await client.read(18);
    const answer = Buffer.alloc(4);
    answer.writeUInt32BE(flags);
    client.write(answer);
    return client;
  }

  /** A client that may send requests; what it was told of the export. */
  static async open(
    address: Address,
    { name = '', style = 'structured', contexts = [] as string[] } = {},
  ): Promise<RawClient> {
    const client = await RawClient.greeted(address);
    if (style === 'structured') await client.option(8);
    if (style === 'extended') {
      await client.option(11);
      client.isExtended = true;
    }
    if (contexts.length > 0) await client.option(10, contextQuery(name, contexts));
    const answers = await client.option(7, infoQuery(name, [3]));
    if (answers.at(-1)?.type !== 1) throw new Error(`GO was refused: ${answers.at(-1)?.data.toString()}`);
    return client;
  }

  write(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  /** The next `bytes` bytes. Fails if the connection ends before. */
  async read(bytes: number): Promise<Buffer> {
    while (this.#received.length < bytes) {
      if (this.isClosed) throw new Error(`closed with ${this.#received.length} of ${bytes} bytes`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const taken = this.#received.subarray(0, bytes);
    this.#received = this.#received.subarray(bytes);
    return taken;
  }

  /** Resolves when the server has closed the connection; what it sent before. */
  async closed(): Promise<Buffer> {
    while (!this.isClosed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#received;
  }

  /** Sends an option; its replies, up to the final one. */
  async option(option: number, data: Buffer = Buffer.alloc(0)): Promise<OptionAnswer[]> {
    this.write(encodeOption(option, data));
    const answers: OptionAnswer[] = [];
    for (;;) {
      const head = await this.read(20);
      if (head.readBigUInt64BE(0) !== 0x0003e889045565a9n) throw new Error('no reply to an option');
      const answer = {
        option: head.readUInt32BE(8),
        type: head.readUInt32BE(12),
        data: Buffer.from(await this.read(head.readUInt32BE(16))),
      };
      answers.push(answer);
      if (answer.type === 1 || answer.type >= 0x80000000) return answers;
    }
  }

  send(request: RawRequest): void {
    this.write(encodeRequest(request, this.isExtended));
  }

  /** The next reply or chunk. `dataBytes` is what follows a simple reply without error. */
  async reply(dataBytes = 0): Promise<Reply> {
    const magic = (await this.peek(4)).readUInt32BE(0);
    if (magic === 0x67446698) {
      const head = await this.read(16);
      const error = head.readUInt32BE(4);
      const data = Buffer.from(await this.read(error === 0 ? dataBytes : 0));
      return { type: -1, isLast: true, error, cookie: head.readBigUInt64BE(8), data };
    }
    const isExtended = magic === 0x6e8a278c;
    if (!isExtended && magic !== 0x668e33ef) throw new Error(`no reply: 0x${magic.toString(16)}`);
    const head = await this.read(isExtended ? 32 : 20);
    const length = isExtended ? Number(head.readBigUInt64BE(24)) : head.readUInt32BE(16);
    const data = Buffer.from(await this.read(length));
    const type = head.readUInt16BE(6);
    const reply = {
      type,
      isLast: (head.readUInt16BE(4) & 1) !== 0,
      error: (type & 0x8000) === 0 ? 0 : data.readUInt32BE(0),
      cookie: head.readBigUInt64BE(8),
      data,
    };
    return isExtended ? { ...reply, offset: head.readBigUInt64BE(16) } : reply;
  }

  /** Sends a request and gives its reply (or the first chunk of it). */
  async ask(request: RawRequest): Promise<Reply> {
    this.send(request);
    return this.reply(request.type === 0 ? Number(request.length ?? 0) : 0);
  }

  async peek(bytes: number): Promise<Buffer> {
    const head = await this.read(bytes);
    this.#received = Buffer.concat([head, this.#received]);
    return head;
  }

  end(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
  }
}

export function encodeOption(option: number, data: Buffer, length = data.length): Buffer {
  const head = Buffer.alloc(16);
  head.write('IHAVEOPT', 'latin1');
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(length, 12);
  return Buffer.concat([head, data]);
}

export function encodeRequest(request: RawRequest, isExtended: boolean): Buffer {
  const { type, flags = 0, cookie = 7n, offset = 0, length = 0, payload = Buffer.alloc(0) } = request;
  const head = Buffer.alloc(isExtended ? 32 : 28);
  head.writeUInt32BE(isExtended ? 0x21e41c71 : 0x25609513, 0);
  head.writeUInt16BE(flags, 4);
  head.writeUInt16BE(type, 6);
  head.writeBigUInt64BE(cookie, 8);
  head.writeBigUInt64BE(BigInt(offset), 16);
  if (isExtended) head.writeBigUInt64BE(BigInt(length), 24);
  else head.writeUInt32BE(Number(length), 24);
  return Buffer.concat([head, payload]);
}

function lengthOf(text: string): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(Buffer.byteLength(text));
  return bytes;
}

/** The data of INFO and GO. */
export function infoQuery(name: string, infos: readonly number[] = []): Buffer {
  const wanted = Buffer.alloc(2 + infos.length * 2);
  wanted.writeUInt16BE(infos.length);
  infos.forEach((info, index) => wanted.writeUInt16BE(info, 2 + index * 2));
  return Buffer.concat([lengthOf(name), Buffer.from(name), wanted]);
}

/** The data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function contextQuery(name: string, queries: readonly string[]): Buffer {
  const count = Buffer.alloc(4);
  count.writeUInt32BE(queries.length);
  const encoded = queries.map((query) => Buffer.concat([lengthOf(query), Buffer.from(query)]));
  return Buffer.concat([lengthOf(name), Buffer.from(name), count, ...encoded]);
}
