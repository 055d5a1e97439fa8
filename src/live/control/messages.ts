/**
 * The messages of the control socket: JSON-RPC 2.0, one a line. `schema.json` has their forms,
 * `.github/docs/control.md` their meaning.
 */
import { isObject } from '../record/value-checks.ts';

/** The version of the methods; goes up when a client would misunderstand them. */
export const CONTROL_VERSION = 1;

/** The codes of errors: those of JSON-RPC 2.0, and ours from -32000 down. */
export const RpcCode = {
  /** Not JSON, or a message that is too long. */
  PARSE: -32700,
  INVALID_REQUEST: -32600,
  METHOD_NOT_FOUND: -32601,
  INVALID_PARAMS: -32602,
  INTERNAL: -32603,
  /** The session cannot do it now: no image is open, no node has rules. `data.errno` says why. */
  REFUSED: -32000,
  /** The command did not begin: it was interrupted, or the session has ended. */
  NOT_RUN: -32001,
  /** The command would ask the user of the session's own terminal. */
  NEEDS_TERMINAL: -32002,
} as const;

/** A client finds the answer to a call by it. */
export type RpcId = string | number | null;

/** A request of a client that cannot be served; what is sent back says why. */
export class RpcError extends Error {
  readonly code: number;
  readonly data: object | undefined;

  constructor(code: number, message: string, data?: object) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** A call of a method. */
export interface RpcRequest {
  /** Undefined for a notification, which is not answered. */
  readonly id: RpcId | undefined;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** A call, or the answer to one that is not well formed. */
export type RpcCall = RpcRequest | { readonly id: RpcId; readonly error: RpcError };

/** Longer texts of a client are no names and no ids. */
const MAX_ID_CHARS = 256;
/** A batch has at most so many calls. */
const MAX_BATCH = 100;

/** The calls of a line: one, or those of a batch. A batch that is none is a call that is not well formed. */
export function parseMessage(line: string): RpcCall | readonly RpcCall[] {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { id: null, error: new RpcError(RpcCode.PARSE, 'not JSON') };
  }
  if (!Array.isArray(value)) return parseCall(value);
  if (value.length === 0) return invalid(null, 'an empty batch');
  if (value.length > MAX_BATCH) return invalid(null, `a batch of more than ${MAX_BATCH} calls`);
  return value.map(parseCall);
}

function parseCall(value: unknown): RpcCall {
  if (!isObject(value)) return invalid(null, 'not an object');
  const { jsonrpc, id, method, params = {} } = value;
  const known = id === undefined || isId(id) ? id : null;
  if (jsonrpc !== '2.0') return invalid(known ?? null, '\'jsonrpc\' is not "2.0"');
  if (id !== undefined && !isId(id)) return invalid(null, "'id' is neither a short text nor a number nor null");
  if (typeof method !== 'string') return invalid(known ?? null, "'method' is not a text");
  if (isObject(params)) return { id: known, method, params };
  return { id: known ?? null, error: new RpcError(RpcCode.INVALID_PARAMS, "'params' is not an object") };
}

function isId(value: unknown): value is RpcId {
  if (typeof value === 'string') return value.length <= MAX_ID_CHARS;
  return value === null || (typeof value === 'number' && Number.isFinite(value));
}

function invalid(id: RpcId, message: string): RpcCall {
  return { id, error: new RpcError(RpcCode.INVALID_REQUEST, message) };
}

/** The answer to a call as JSON. */
export function resultText(id: RpcId, result: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', id, result: result ?? null });
}

/** The answer to a call that failed as JSON. */
export function errorText(id: RpcId, { code, message, data }: RpcError): string {
  return JSON.stringify({ jsonrpc: '2.0', id, error: { code, message, ...(data === undefined ? {} : { data }) } });
}

/** A notification as a line. */
export function notificationLine(method: string, params: object): string {
  return `${JSON.stringify({ jsonrpc: '2.0', method, params })}\n`;
}

/** A call as the line that a client sends. */
export function requestLine(id: number, method: string, params: object): string {
  return `${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`;
}
