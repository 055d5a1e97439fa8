/** The names of the codes of the protocol in messages. */
import { Option, OptionReply } from '../../nbd/wire.ts';

const optionNames: Readonly<Record<number, string>> = {
  [Option.EXPORT_NAME]: 'export name',
  [Option.ABORT]: 'abort',
  [Option.LIST]: 'list',
  [Option.STARTTLS]: 'starttls',
  [Option.INFO]: 'info',
  [Option.GO]: 'go',
  [Option.STRUCTURED_REPLY]: 'structured reply',
  [Option.LIST_META_CONTEXT]: 'list meta context',
  [Option.SET_META_CONTEXT]: 'set meta context',
};

const replyNames: Readonly<Record<number, string>> = {
  [OptionReply.ACK]: 'ack',
  [OptionReply.SERVER]: 'server',
  [OptionReply.INFO]: 'info',
  [OptionReply.META_CONTEXT]: 'meta context',
  [OptionReply.ERR_UNSUP]: 'unsupported',
  [OptionReply.ERR_POLICY]: 'denied by policy',
  [OptionReply.ERR_INVALID]: 'invalid',
  [OptionReply.ERR_PLATFORM]: 'platform lacks support',
  [OptionReply.ERR_TLS_REQD]: 'TLS required',
  [OptionReply.ERR_UNKNOWN]: 'export unknown',
  [OptionReply.ERR_SHUTDOWN]: 'server shutting down',
  [OptionReply.ERR_BLOCK_SIZE_REQD]: 'block size required',
};

/** "7 (go)". */
export function optionText(option: number): string {
  return `${option} (${optionName(option)})`;
}

/** "go"; "<unknown>" for a number that QEMU 7.2 does not know. */
export function optionName(option: number): string {
  return optionNames[option] ?? '<unknown>';
}

/** "1 (ack)". */
export function replyText(type: number): string {
  return `${type} (${replyNames[type] ?? '<unknown>'})`;
}
