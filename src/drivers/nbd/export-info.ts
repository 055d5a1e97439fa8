/** The option GO and what a server tells of an export in reply: size, abilities, block sizes. */
import { invalidArgument } from '../../block/error.ts';
import type { Channel } from './channel.ts';
import { abandon, explained, isAccepted, orAbandon, receiveReply, sendOption } from './handshake.ts';
import { replyText } from './names.ts';
import type { ExportInfo } from './negotiate.ts';
import { Info, Option, OptionReply } from '../../nbd/wire.ts';

/** Information that was not asked for is dropped in pieces. */
const DROP_BYTES = 64 << 10;

/** Asks for an export and fills `info`. False if the server does not know the option. */
export async function receiveExportInfo(channel: Channel, exportName: string, info: ExportInfo): Promise<boolean> {
  await sendOption(channel, Option.GO, goRequest(exportName));
  for (;;) {
    const reply = await receiveReply(channel, Option.GO);
    if (!(await isAccepted(channel, reply, true))) return false;
    const { type, length } = reply;
    if (type === OptionReply.ACK) {
      if (length !== 0) throw invalidArgument('server sent invalid NBD_REP_ACK');
      // A server that has told of the export has set at least HAS_FLAGS.
      if (info.flags === 0) throw invalidArgument('broken server omitted NBD_INFO_EXPORT');
      return true;
    }
    if (type !== OptionReply.INFO) {
      const message = `unexpected reply type ${replyText(type)}, expected ${replyText(OptionReply.INFO)}`;
      throw abandon(channel, invalidArgument(message));
    }
    await orAbandon(channel, receiveInfo(channel, length, info));
  }
}

/** The name, and that block sizes are wanted. */
function goRequest(exportName: string): Buffer {
  const name = Buffer.from(exportName);
  const request = Buffer.alloc(4 + name.length + 4);
  request.writeUInt32BE(name.length, 0);
  name.copy(request, 4);
  request.writeUInt16BE(1, 4 + name.length);
  request.writeUInt16BE(Info.BLOCK_SIZE, 6 + name.length);
  return request;
}

async function receiveInfo(channel: Channel, length: number, info: ExportInfo): Promise<void> {
  if (length < 2) throw invalidArgument(`NBD_REP_INFO length ${length} is too short`);
  const type = (await channel.readBytes(2, 'info type')).readUInt16BE();
  const restBytes = length - 2;
  if (type === Info.EXPORT) {
    await receiveExport(channel, restBytes, info);
  } else if (type === Info.BLOCK_SIZE) {
    await receiveBlockSizes(channel, restBytes, info);
  } else {
    for (let rest = restBytes; rest > 0; rest -= Math.min(rest, DROP_BYTES)) {
      await explained('Failed to read info payload: ', channel.readBytes(Math.min(rest, DROP_BYTES), null));
    }
  }
}

async function receiveExport(channel: Channel, bytes: number, info: ExportInfo): Promise<void> {
  if (bytes !== 10) throw invalidArgument(`remaining export info len ${bytes} is unexpected size`);
  const size = await channel.readBytes(8, 'info size');
  info.sizeBytes = Number(size.readBigInt64BE());
  info.flags = (await channel.readBytes(2, 'info flags')).readUInt16BE();
  const { minBlockBytes } = info;
  const exact = size.readBigUInt64BE();
  if (minBlockBytes > 0 && exact % BigInt(minBlockBytes) !== 0n) {
    throw invalidArgument(`export size ${exact} is not multiple of minimum block size ${minBlockBytes}`);
  }
}

async function receiveBlockSizes(channel: Channel, bytes: number, info: ExportInfo): Promise<void> {
  if (bytes !== 12) throw invalidArgument(`remaining export info len ${bytes} is unexpected size`);
  const min = (await channel.readBytes(4, 'info minimum block size')).readUInt32BE();
  if (!isPowerOfTwo(min)) throw invalidArgument(`server minimum block size ${min} is not a power of two`);
  const preferred = (await channel.readBytes(4, 'info preferred block size')).readUInt32BE();
  if (!isPowerOfTwo(preferred) || preferred < min)
    throw invalidArgument(`server preferred block size ${preferred} is not valid`);
  const max = (await channel.readBytes(4, 'info maximum block size')).readUInt32BE();
  if (max < min) throw invalidArgument(`server maximum block size ${max} is not valid`);
  info.minBlockBytes = min;
  info.preferredBlockBytes = preferred;
  info.maxBlockBytes = max;
}

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}
