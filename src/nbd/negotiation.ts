/** The handshake with one client: fixed newstyle, from the greeting to the choice of an export. */
import { BlockError } from '../block/error.ts';
import { contextNames, type NbdExport } from './export.ts';
import type { ByteQueue } from './byte-queue.ts';
import type { NbdLimits } from './server-limits.ts';
import { decodeContextRequest, decodeInfoRequest, InvalidOption } from './option-data.ts';
import {
  encodeOptionReply,
  GREETING_MAGIC,
  HandshakeFlag,
  type HeaderStyle,
  Info,
  MAX_PAYLOAD_BYTES,
  MAX_STRING_BYTES,
  Option,
  OPTION_HEADER_BYTES,
  OPTION_MAGIC,
  OptionReply,
  writeNumber,
} from './wire.ts';

/** A peer that breaks the protocol, or asks for what only a disconnection can refuse; `message` says how. */
export class ProtocolError extends Error {}

/** The result of a handshake. */
export interface Agreement {
  readonly export: NbdExport;
  /** The length in bytes that the client was told. */
  readonly sizeBytes: number;
  readonly style: HeaderStyle;
  /** The contexts of BLOCK_STATUS: indices of `contextNames`. */
  readonly contexts: readonly number[];
}

/** The parts of the server that a handshake uses. */
export interface NegotiationHost {
  readonly exports: ReadonlyMap<string, NbdExport>;
  /** The server ends: every option is refused. */
  readonly isStopping: boolean;
  readonly limits: NbdLimits;
  send(bytes: Buffer): void;
}

/** `more`: input is missing; `aborted`: the client has said goodbye. */
export type NegotiationResult = 'more' | 'aborted' | Agreement;

const noData = Buffer.alloc(0);
const RESERVED_ZEROES = 124;
const noContexts: readonly number[] = [];

/** The state of a handshake. */
export class Negotiation {
  readonly #host: NegotiationHost;
  #hasFlags = false;
  #isFixed = false;
  #wantsZeroes = true;
  #style: HeaderStyle = 'simple';
  /** The last SET_META_CONTEXT that succeeded: for which export, and its contexts. */
  #contextsOf: string | null = null;
  #contexts: readonly number[] = noContexts;
  /** Bytes of an option's data that is too long; they are skipped, and the option is refused. */
  #skipBytes = 0;

  constructor(host: NegotiationHost) {
    this.#host = host;
    const flags = Buffer.alloc(2);
    flags.writeUInt16BE(HandshakeFlag.FIXED_NEWSTYLE | HandshakeFlag.NO_ZEROES);
    host.send(Buffer.concat([GREETING_MAGIC, flags]));
  }

  /**
   * Consumes one message, if it is there whole; null if one was consumed and more may follow. Throws `ProtocolError`.
   */
  step(input: ByteQueue): NegotiationResult | null {
    if (!this.#hasFlags) return this.#takeFlags(input);
    if (this.#skipBytes > 0) {
      this.#skipBytes -= input.skip(this.#skipBytes);
      return this.#skipBytes > 0 ? 'more' : null;
    }
    const head = input.head(OPTION_HEADER_BYTES);
    if (head === null) return 'more';
    const at = input.headAt;
    if (head.readUInt32BE(at) !== OPTION_MAGIC.high || head.readUInt32BE(at + 4) !== OPTION_MAGIC.low) {
      throw new ProtocolError('an option has the wrong magic number');
    }
    const option = head.readUInt32BE(at + 8);
    const bytes = head.readUInt32BE(at + 12);
    if (bytes > this.#host.limits.maxOptionBytes) {
      this.#refuseLongOption(option, bytes);
      input.skip(OPTION_HEADER_BYTES);
      this.#skipBytes = bytes;
      return null;
    }
    if (input.available < OPTION_HEADER_BYTES + bytes) return 'more';
    input.skip(OPTION_HEADER_BYTES);
    return this.#handle(option, input.take(bytes) ?? noData);
  }

  #takeFlags(input: ByteQueue): 'more' | null {
    const flags = input.take(4)?.readUInt32BE(0);
    if (flags === undefined) return 'more';
    if ((flags & ~(HandshakeFlag.FIXED_NEWSTYLE | HandshakeFlag.NO_ZEROES)) !== 0) {
      throw new ProtocolError(`unknown client flags 0x${flags.toString(16)}`);
    }
    this.#hasFlags = true;
    this.#isFixed = (flags & HandshakeFlag.FIXED_NEWSTYLE) !== 0;
    this.#wantsZeroes = (flags & HandshakeFlag.NO_ZEROES) === 0;
    return null;
  }

  #refuseLongOption(option: number, bytes: number): void {
    const message = `option ${option} has ${bytes} bytes of data`;
    if (option === Option.EXPORT_NAME || !this.#isFixed || bytes > MAX_PAYLOAD_BYTES) throw new ProtocolError(message);
    this.#refuse(option, OptionReply.ERR_TOO_BIG, message);
  }

  #handle(option: number, data: Buffer): NegotiationResult | null {
    if (option === Option.EXPORT_NAME) return this.#exportName(data);
    if (!this.#isFixed) throw new ProtocolError(`option ${option} without fixed newstyle`);
    if (option === Option.ABORT) {
      this.#acknowledge(option);
      return 'aborted';
    }
    if (this.#host.isStopping) return this.#refuse(option, OptionReply.ERR_SHUTDOWN, 'the server is stopping');
    try {
      return this.#handleFixed(option, data);
    } catch (error) {
      if (error instanceof InvalidOption) return this.#refuse(option, OptionReply.ERR_INVALID, error.message);
      // The image has no medium, or its host cannot tell its length.
      if (error instanceof BlockError) return this.#refuse(option, OptionReply.ERR_UNKNOWN, error.message);
      throw error;
    }
  }

  #handleFixed(option: number, data: Buffer): NegotiationResult | null {
    switch (option) {
      case Option.LIST:
        return this.#list(data);
      case Option.INFO:
      case Option.GO:
        return this.#info(option, data);
      case Option.STRUCTURED_REPLY:
      case Option.EXTENDED_HEADERS:
        return this.#chooseHeaders(option, data);
      case Option.LIST_META_CONTEXT:
      case Option.SET_META_CONTEXT:
        return this.#metaContext(option, data);
      case Option.STARTTLS:
        return this.#refuse(option, OptionReply.ERR_POLICY, 'TLS is not offered');
      default:
        return this.#refuse(option, OptionReply.ERR_UNSUP, `option ${option} is unknown`);
    }
  }

  /** The oldest way to choose an export: it cannot be refused but by a disconnection. */
  #exportName(data: Buffer): Agreement {
    const name = data.toString();
    const chosen = this.#host.exports.get(name);
    if (this.#host.isStopping) throw new ProtocolError('the server is stopping');
    if (data.length > MAX_STRING_BYTES || chosen === undefined) throw new ProtocolError(absent(name));
    if (this.#style === 'extended') throw new ProtocolError('EXPORT_NAME after EXTENDED_HEADERS');
    let sizeBytes: number;
    try {
      sizeBytes = chosen.sizeBytes;
    } catch (error) {
      if (error instanceof BlockError) throw new ProtocolError(`${quoted(name)}: ${error.message}`);
      throw error;
    }
    const reply = Buffer.alloc(this.#wantsZeroes ? 10 + RESERVED_ZEROES : 10);
    const agreement = this.#agreement(chosen, sizeBytes);
    writeNumber(reply, sizeBytes, 0);
    reply.writeUInt16BE(chosen.transmissionFlags(this.#style, agreement.contexts.length > 0), 8);
    this.#host.send(reply);
    return agreement;
  }

  #list(data: Buffer): null {
    if (data.length > 0) throw new InvalidOption('LIST has no data');
    for (const { name, description } of this.#host.exports.values()) {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(Buffer.byteLength(name));
      this.#reply(Option.LIST, OptionReply.SERVER, Buffer.concat([length, Buffer.from(name + description)]));
    }
    return this.#acknowledge(Option.LIST);
  }

  #info(option: number, data: Buffer): Agreement | null {
    const { name, wanted } = decodeInfoRequest(data);
    const chosen = this.#host.exports.get(name);
    if (chosen === undefined) return this.#refuse(option, OptionReply.ERR_UNKNOWN, absent(name));
    const { sizeBytes } = chosen;
    const agreement = this.#agreement(chosen, sizeBytes);
    const { minimum, preferred, maximum } = chosen.blockSizes;

    if (wanted.has(Info.NAME)) this.#tell(option, Info.NAME, Buffer.from(chosen.name));
    if (wanted.has(Info.DESCRIPTION) && chosen.description !== '') {
      this.#tell(option, Info.DESCRIPTION, Buffer.from(chosen.description));
    }
    const sizes = Buffer.alloc(12);
    // A client that has not promised to obey is served byte by byte.
    const tellsMinimum = option === Option.INFO || wanted.has(Info.BLOCK_SIZE);
    sizes.writeUInt32BE(tellsMinimum ? minimum : 1, 0);
    sizes.writeUInt32BE(preferred, 4);
    sizes.writeUInt32BE(maximum, 8);
    this.#tell(option, Info.BLOCK_SIZE, sizes);
    const about = Buffer.alloc(10);
    writeNumber(about, sizeBytes, 0);
    about.writeUInt16BE(chosen.transmissionFlags(this.#style, agreement.contexts.length > 0), 8);
    this.#tell(option, Info.EXPORT, about);

    if (option === Option.INFO && !wanted.has(Info.BLOCK_SIZE) && minimum > 1) {
      const hint = 'request NBD_INFO_BLOCK_SIZE to use this export';
      return this.#refuse(option, OptionReply.ERR_BLOCK_SIZE_REQD, hint);
    }
    this.#acknowledge(option);
    return option === Option.GO ? agreement : null;
  }

  #tell(option: number, info: number, content: Buffer): void {
    const type = Buffer.alloc(2);
    type.writeUInt16BE(info);
    this.#reply(option, OptionReply.INFO, Buffer.concat([type, content]));
  }

  #chooseHeaders(option: number, data: Buffer): null {
    if (data.length > 0) throw new InvalidOption('the option has no data');
    if (option === Option.EXTENDED_HEADERS) {
      if (this.#style === 'extended') throw new InvalidOption('extended headers are agreed on already');
      this.#style = 'extended';
    } else {
      if (this.#style === 'extended') {
        return this.#refuse(option, OptionReply.ERR_EXT_HEADER_REQD, 'extended headers are agreed on already');
      }
      if (this.#style === 'structured') throw new InvalidOption('structured replies are agreed on already');
      this.#style = 'structured';
    }
    return this.#acknowledge(option);
  }

  #metaContext(option: number, data: Buffer): null {
    const isSet = option === Option.SET_META_CONTEXT;
    if (isSet) {
      this.#contextsOf = null;
      this.#contexts = noContexts;
    }
    if (this.#style === 'simple') throw new InvalidOption('structured replies are not agreed on');
    const { name, queryCount, queries } = decodeContextRequest(data);
    if (!this.#host.exports.has(name)) return this.#refuse(option, OptionReply.ERR_UNKNOWN, absent(name));
    const listsAll = !isSet && queryCount === 0;
    const found: number[] = [];
    contextNames.forEach((context, index) => {
      const namespace = context.slice(0, context.indexOf(':') + 1);
      const isAsked = queries.includes(context) || (!isSet && queries.includes(namespace));
      if (listsAll || isAsked) found.push(index);
    });
    for (const index of found) {
      const id = Buffer.alloc(4);
      id.writeUInt32BE(isSet ? index : 0);
      this.#reply(option, OptionReply.META_CONTEXT, Buffer.concat([id, Buffer.from(contextNames[index] ?? '')]));
    }
    if (isSet) {
      this.#contextsOf = name;
      this.#contexts = found;
    }
    return this.#acknowledge(option);
  }

  /** Contexts hold for the export that they were chosen for. */
  #agreement(chosen: NbdExport, sizeBytes: number): Agreement {
    const contexts = this.#contextsOf === chosen.name ? this.#contexts : noContexts;
    return { export: chosen, sizeBytes, style: this.#style, contexts };
  }

  #acknowledge(option: number): null {
    return this.#reply(option, OptionReply.ACK, noData);
  }

  #refuse(option: number, error: number, message: string): null {
    return this.#reply(option, error, Buffer.from(message.slice(0, MAX_STRING_BYTES / 4)));
  }

  #reply(option: number, type: number, payload: Buffer): null {
    this.#host.send(encodeOptionReply(option, type, payload));
    return null;
  }
}

function absent(name: string): string {
  return `export ${quoted(name)} does not exist`;
}

/** A name from outside in a message: control characters are escaped, and it is not long. */
function quoted(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 61)}...` : name);
}
