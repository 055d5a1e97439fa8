/** A client of a control socket for tests: every message that it sends or gets is held against the schema. */
import { connect, type Socket } from 'node:net';
import type { CommandResult, PictureName } from '../../../src/live/control/session-control.ts';
import { parseLine } from '../../../src/live/record/schema.ts';
import { mustBeResultOf, mustFit } from './schema-check.ts';

/** An object of an answer. */
export type Row = Readonly<Record<string, unknown>>;

/** The results of the methods. */
interface Results extends Record<Exclude<PictureName, 'state' | 'info'>, Row[]> {
  readonly command: CommandResult;
  readonly interrupt: Row;
  readonly subscribe: Row;
  readonly unsubscribe: Row;
  readonly state: Row;
  readonly info: Row;
  readonly complete: Row;
  readonly clients: { readonly consoles: Row[]; readonly exports: Row[] };
  readonly version: Row;
  readonly help: Row[];
  readonly shutdown: Row;
}

/** A message with `jsonrpc`. */
export interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: Record<string, unknown> };
}

/** Resolves as soon as something holds; it waits for I/O of this process or of one that answers. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(setImmediate);
}

export class RpcClient {
  readonly socket: Socket;
  /** Messages in their order; lines of the greeting are apart. */
  readonly messages: (Message | Message[])[] = [];
  readonly greeting: string[] = [];
  hasEnded = false;
  #rest = '';
  /** Tests choose smaller ones for what they send by hand. */
  #nextId = 100;

  constructor(socketPath: string) {
    this.socket = connect({ path: socketPath, allowHalfOpen: true });
    this.socket.setEncoding('utf8');
    this.socket.on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.#take(line);
    });
    this.socket.on('error', () => {});
    this.socket.on('end', () => this.socket.end());
    this.socket.on('close', () => {
      this.hasEnded = true;
    });
  }

  #take(line: string): void {
    const value = JSON.parse(line) as Message;
    if (!Array.isArray(value) && !('jsonrpc' in value)) {
      if (this.messages.length > 0) throw new Error(`a line of the greeting after an answer: ${line}`);
      parseLine(line);
      this.greeting.push(line);
      return;
    }
    mustFit('fromSession', value);
    this.messages.push(value);
  }

  /** Sends a text as it is. */
  say(text: string): void {
    this.socket.write(`${text}\n`);
  }

  /** Sends a call without waiting; its id. */
  send(method: string, params?: object): number {
    const id = this.#nextId++;
    const call = { jsonrpc: '2.0', id, method, ...(params === undefined ? {} : { params }) };
    mustFit('toSession', call);
    this.say(JSON.stringify(call));
    return id;
  }

  /** The answer to a call. */
  async answer(id: unknown): Promise<Message> {
    const find = () => this.messages.find((one): one is Message => !Array.isArray(one) && 'id' in one && one.id === id);
    await until(() => find() !== undefined || this.hasEnded);
    const found = find();
    if (found === undefined) throw new Error(`no answer to ${String(id)}: ${JSON.stringify(this.messages.slice(-3))}`);
    return found;
  }

  /** Calls a method; its result. */
  async call<Method extends keyof Results>(method: Method, params?: object): Promise<Results[Method]> {
    const { result, error } = await this.answer(this.send(method, params));
    if (error !== undefined) throw new Error(`${error.code} ${error.message}`);
    mustBeResultOf(method, result);
    return result as Results[Method];
  }

  /** Runs a command; what it prints on standard output, times and rates taken out. */
  async run(line: string): Promise<string> {
    const { stdout, stderr } = await this.call('command', { line });
    return `${stdout}${stderr}`.replaceAll(/; .* ops\/sec\)/g, '; TIME');
  }

  /** Notifications of a method. */
  told(method: string): Row[] {
    return this.messages.flatMap((one) => (Array.isArray(one) || one.method !== method ? [] : [one.params ?? {}]));
  }
}
