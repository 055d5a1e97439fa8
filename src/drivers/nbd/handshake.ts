/** Options of the handshake: how they are asked, how replies and refusals read. */
import { BlockError, invalidArgument, prependError } from '../../block/error.ts';
import type { Channel } from './channel.ts';
import { optionName, optionText, replyText } from './names.ts';
import { MAX_PAYLOAD_BYTES, Option, OPTION_REPLY_MAGIC, OptionReply, encodeOption } from '../../nbd/wire.ts';

/** The header of a reply to an option; its payload has yet to be read. */
export interface ReplyHeader {
  readonly option: number;
  readonly type: number;
  readonly length: number;
}

const HEADER_BYTES = 20;
const ERROR_BIT = 0x80000000;

/** Tells the server that there is no use in going on, and gives the error back. */
export function abandon(channel: Channel, error: BlockError): BlockError {
  // The error counts, not how the farewell goes.
  channel.send(encodeOption(Option.ABORT, Buffer.alloc(0)), null);
  return error;
}

/** Asks for an option. */
export async function sendOption(channel: Channel, option: number, data: Buffer): Promise<void> {
  const request = encodeOption(option, data);
  await explained('Failed to send option request header: ', channel.write(request));
}

/** Waits for `step`; its error gets a prefix. */
export async function explained<T>(prefix: string, step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (error) {
    throw error instanceof BlockError ? prependError(error, prefix) : error;
  }
}

/** Waits for `step`; when it fails, the server is told that this is the end. */
export async function orAbandon<T>(channel: Channel, step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (error) {
    throw error instanceof BlockError ? abandon(channel, error) : error;
  }
}

/** Whether bytes begin with a magic number of 64 bits. */
export function hasMagic(bytes: Buffer, magic: { readonly high: number; readonly low: number }): boolean {
  return bytes.readUInt32BE(0) === magic.high && bytes.readUInt32BE(4) === magic.low;
}

/** The header of the reply that must come next. */
export async function receiveReply(channel: Channel, option: number): Promise<ReplyHeader> {
  const header = await orAbandon(channel, channel.readBytes(HEADER_BYTES, 'option reply'));
  if (!hasMagic(header, OPTION_REPLY_MAGIC)) {
    throw abandon(channel, invalidArgument('Unexpected option reply magic'));
  }
  const reply = {
    option: header.readUInt32BE(8),
    type: header.readUInt32BE(12),
    length: header.readUInt32BE(16),
  };
  if (reply.option === option) return reply;
  const message = `Unexpected option type ${optionText(reply.option)}, expected ${optionText(option)}`;
  throw abandon(channel, invalidArgument(message));
}

/**
 * Whether a reply says yes. False for one that says no in a way that lets the client try something else: the option is
 * unknown, or any error if not `isStrict`. Throws for every other error.
 */
export async function isAccepted(channel: Channel, reply: ReplyHeader, isStrict: boolean): Promise<boolean> {
  const { type, length } = reply;
  if ((type & ERROR_BIT) === 0) return true;
  if (length > MAX_PAYLOAD_BYTES) {
    throw abandon(channel, invalidArgument(`server error ${replyText(type)} message is too long`));
  }
  const reading = channel.readBytes(length, null);
  const message = await orAbandon(
    channel,
    explained(`Failed to read option error ${replyText(type)} message: `, reading),
  );
  if (type === OptionReply.ERR_UNSUP || !isStrict) return false;
  const reported = length > 0 ? `\nserver reported: ${textUpToNul(message)}` : '';
  throw abandon(channel, invalidArgument(refusal(reply) + reported));
}

function refusal({ type, option }: ReplyHeader): string {
  const what = optionText(option);
  switch (type) {
    case OptionReply.ERR_POLICY:
      return `Denied by server for option ${what}`;
    case OptionReply.ERR_INVALID:
      return `Invalid parameters for option ${what}`;
    case OptionReply.ERR_PLATFORM:
      return `Server lacks support for option ${what}`;
    case OptionReply.ERR_TLS_REQD:
      return `TLS negotiation required before option ${what}\nDid you forget a valid tls-creds?`;
    case OptionReply.ERR_UNKNOWN:
      return 'Requested export not available';
    case OptionReply.ERR_SHUTDOWN:
      return `Server shutting down before option ${what}`;
    case OptionReply.ERR_BLOCK_SIZE_REQD:
      return `Server requires INFO_BLOCK_SIZE for option ${what}`;
    default:
      return `Unknown error code when asking for option ${what}`;
  }
}

/** Text of a server, as C takes it: it ends at a NUL. */
export function textUpToNul(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}

/** Asks for an option without data that is answered by yes or no. False if the server does not have it. */
export async function requestOption(channel: Channel, option: number, isStrict: boolean): Promise<boolean> {
  await sendOption(channel, option, Buffer.alloc(0));
  const reply = await receiveReply(channel, option);
  if (!(await isAccepted(channel, reply, isStrict))) return false;
  const { type, length } = reply;
  if (type !== OptionReply.ACK) {
    const message = `Server answered option ${optionText(option)} with unexpected reply ${replyText(type)}`;
    throw abandon(channel, invalidArgument(message));
  }
  if (length !== 0) {
    const message = `Option ${option} ('${optionName(option)}') response length is ${length} (it should be zero)`;
    throw abandon(channel, invalidArgument(message));
  }
  return true;
}
