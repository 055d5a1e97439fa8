/** The handshake with a server: from its first byte to the export's size and abilities. */
import { type BlockError, invalidArgument } from '../../block/error.ts';
import type { Channel } from './channel.ts';
import { receiveExportInfo } from './export-info.ts';
import {
  abandon,
  explained,
  hasMagic,
  isAccepted,
  orAbandon,
  receiveReply,
  requestOption,
  sendOption,
  textUpToNul,
} from './handshake.ts';
import { replyText } from './names.ts';
import {
  GREETING_MAGIC,
  HandshakeFlag,
  MAX_PAYLOAD_BYTES,
  MAX_STRING_BYTES,
  OLDSTYLE_MAGIC,
  Option,
  OPTION_MAGIC,
  OptionReply,
} from '../../nbd/wire.ts';

/** The description of an export that the handshake gives. Lengths in bytes; a limit of 0 was not told. */
export interface ExportInfo {
  /** As a signed number of 64 bits, rounded beyond 2^53. */
  sizeBytes: number;
  /** Bits of `TransmissionFlag`. */
  flags: number;
  minBlockBytes: number;
  preferredBlockBytes: number;
  maxBlockBytes: number;
  hasStructuredReplies: boolean;
  /** The id of the one context that BLOCK_STATUS tells of; null without one. */
  contextId: number | null;
}

/** The export that a client wants, and how. */
export interface Wishes {
  readonly exportName: string;
  /** The context that BLOCK_STATUS is to tell of. */
  readonly context: string;
  /** Puts TLS between the channel and the server; null for a connection in the clear. */
  readonly startTls: ((channel: Channel) => Promise<Channel>) | null;
}

/** An export that is ready for requests, on the channel that they go to. */
export interface Negotiated {
  readonly channel: Channel;
  readonly info: ExportInfo;
}

/** The reserved bytes behind the answer to an old client. */
const RESERVED_BYTES = 124;

/** Does the handshake. Throws with QEMU's texts; the channel is still to be closed then. */
export async function negotiate(plain: Channel, wishes: Wishes): Promise<Negotiated> {
  const info: ExportInfo = {
    sizeBytes: 0,
    flags: 0,
    minBlockBytes: 0,
    preferredBlockBytes: 0,
    maxBlockBytes: 0,
    hasStructuredReplies: false,
    contextId: null,
  };
  const greeting = await plain.readBytes(8, 'initial magic');
  if (!greeting.equals(GREETING_MAGIC.subarray(0, 8)))
    throw invalidArgument(`Bad initial magic received: ${hex(greeting)}`);
  const style = await plain.readBytes(8, 'server magic');
  if (hasMagic(style, OLDSTYLE_MAGIC)) return negotiateOldstyle(plain, wishes, info);
  if (!hasMagic(style, OPTION_MAGIC)) throw invalidArgument(`Bad server magic received: ${hex(style)}`);

  const serverFlags = (await plain.readBytes(2, 'server flags')).readUInt16BE();
  const isFixed = (serverFlags & HandshakeFlag.FIXED_NEWSTYLE) !== 0;
  const clientFlags = Buffer.alloc(4);
  clientFlags.writeUInt32BE(serverFlags & (HandshakeFlag.FIXED_NEWSTYLE | HandshakeFlag.NO_ZEROES));
  await explained('Failed to send clientflags field: ', plain.write(clientFlags));

  const channel = wishes.startTls === null ? plain : await startTls(plain, wishes.startTls, isFixed);
  if (isFixed && (await goByOptions(channel, wishes, info))) return { channel, info };
  await goByName(channel, wishes, info, (serverFlags & HandshakeFlag.NO_ZEROES) === 0);
  return { channel, info };
}

/** 64 bits without leading zeroes: "0x4e". */
function hex(bytes: Buffer): string {
  return `0x${bytes.readBigUInt64BE().toString(16)}`;
}

/** A server of one export, which says everything at once. */
async function negotiateOldstyle(channel: Channel, wishes: Wishes, info: ExportInfo): Promise<Negotiated> {
  if (wishes.startTls !== null) throw invalidArgument('Server does not support STARTTLS');
  if (wishes.exportName !== '') throw invalidArgument('Server does not support non-empty export names');
  info.sizeBytes = Number((await channel.readBytes(8, 'export length')).readBigInt64BE());
  const flags = (await channel.readBytes(4, 'export flags')).readUInt32BE();
  // The letter behind the number is QEMU's.
  if (flags > 0xffff) throw invalidArgument(`Unexpected export flags ${flags.toString(16)}x`);
  info.flags = flags;
  await skipReserved(channel);
  return { channel, info };
}

async function startTls(
  channel: Channel,
  start: (channel: Channel) => Promise<Channel>,
  isFixed: boolean,
): Promise<Channel> {
  if (!isFixed) throw invalidArgument('Server does not support STARTTLS');
  if (!(await requestOption(channel, Option.STARTTLS, true))) {
    throw abandon(channel, invalidArgument("Server don't support STARTTLS option"));
  }
  return start(channel);
}

/** Structured replies, the context, GO. False if the server has no GO and the export is in its list, if it has one. */
async function goByOptions(channel: Channel, wishes: Wishes, info: ExportInfo): Promise<boolean> {
  if (await requestOption(channel, Option.STRUCTURED_REPLY, false)) {
    info.hasStructuredReplies = true;
    info.contextId = await requestContext(channel, wishes);
  }
  if (await receiveExportInfo(channel, wishes.exportName, info)) return true;
  await checkListed(channel, wishes.exportName);
  return false;
}

async function goByName(channel: Channel, wishes: Wishes, info: ExportInfo, hasReserved: boolean): Promise<void> {
  await sendOption(channel, Option.EXPORT_NAME, Buffer.from(wishes.exportName));
  info.sizeBytes = Number((await channel.readBytes(8, 'export length')).readBigInt64BE());
  info.flags = (await channel.readBytes(2, 'export flags')).readUInt16BE();
  if (hasReserved) await skipReserved(channel);
}

async function skipReserved(channel: Channel): Promise<void> {
  await explained('Failed to read reserved block: ', channel.readBytes(RESERVED_BYTES, null));
}

/** The id of the context; null if the server does not have it. */
async function requestContext(channel: Channel, { exportName, context }: Wishes): Promise<number | null> {
  const [name, query] = [Buffer.from(exportName), Buffer.from(context)];
  const data = [numberBytes(name.length), name, numberBytes(1), numberBytes(query.length), query];
  await sendOption(channel, Option.SET_META_CONTEXT, Buffer.concat(data));

  const found = await receiveContext(channel);
  if (found === null) return null;
  if (found.name !== context) {
    const message = `Failed to negotiate meta context '${context}', server answered with different context '${found.name}'`;
    throw abandon(channel, invalidArgument(message));
  }
  if ((await receiveContext(channel)) !== null) {
    throw abandon(channel, invalidArgument('Server answered with more than one context'));
  }
  return found.id;
}

function numberBytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The next context of the reply; null at its end. */
async function receiveContext(channel: Channel): Promise<{ id: number; name: string } | null> {
  const reply = await receiveReply(channel, Option.SET_META_CONTEXT);
  if (!(await isAccepted(channel, reply, false))) return null;
  const { type, length } = reply;
  if (type === OptionReply.ACK) {
    if (length !== 0) throw abandon(channel, invalidArgument('Unexpected length to ACK response'));
    return null;
  }
  if (type !== OptionReply.META_CONTEXT) throw abandon(channel, unexpected(type, OptionReply.META_CONTEXT));
  if (length <= 4 || length > MAX_PAYLOAD_BYTES) {
    const message = `Failed to negotiate meta context, server answered with unexpected length ${length}`;
    throw abandon(channel, invalidArgument(message));
  }
  const id = (await channel.readBytes(4, 'context id')).readUInt32BE();
  return { id, name: textUpToNul(await channel.readBytes(length - 4, 'context name')) };
}

function unexpected(type: number, expected: number): BlockError {
  return invalidArgument(`Unexpected reply type ${replyText(type)}, expected ${replyText(expected)}`);
}

/** Throws if the server lists its exports and this one is not among them. */
async function checkListed(channel: Channel, exportName: string): Promise<void> {
  await sendOption(channel, Option.LIST, Buffer.alloc(0));
  let isFound = false;
  for (let count = 0; ; count += 1) {
    const name = await receiveListed(channel);
    if (name === null) {
      // An empty list is that of a server which keeps its exports to itself.
      if (count === 0 || isFound) return;
      throw abandon(channel, invalidArgument(`No export with name '${exportName}' available`));
    }
    isFound ||= name === exportName;
  }
}

/** The next name of the list; null at its end. */
async function receiveListed(channel: Channel): Promise<string | null> {
  const reply = await receiveReply(channel, Option.LIST);
  if (!(await isAccepted(channel, reply, true))) return null;
  const { type, length } = reply;
  if (type === OptionReply.ACK) {
    if (length !== 0) throw abandon(channel, invalidArgument('length too long for option end'));
    return null;
  }
  if (type !== OptionReply.SERVER) throw abandon(channel, unexpected(type, OptionReply.SERVER));
  if (length < 4 || length > MAX_PAYLOAD_BYTES)
    throw abandon(channel, invalidArgument(`incorrect option length ${length}`));
  const nameBytes = (await orAbandon(channel, channel.readBytes(4, 'option name length'))).readUInt32BE();
  const restBytes = length - 4 - nameBytes;
  if (restBytes < 0 || nameBytes > MAX_STRING_BYTES) {
    throw abandon(channel, invalidArgument("incorrect name length in server's list response"));
  }
  const name = await orAbandon(channel, channel.readBytes(nameBytes, 'export name'));
  if (restBytes > MAX_STRING_BYTES) {
    throw abandon(channel, invalidArgument("incorrect description length in server's list response"));
  }
  await orAbandon(channel, channel.readBytes(restBytes, 'export description'));
  return textUpToNul(name);
}
