/** The data of options of the handshake: read with every length checked against what is there. */
import { MAX_STRING_BYTES } from './wire.ts';

/** Data that does not have the form of its option; `message` goes to the client. */
export class InvalidOption extends Error {}

/** Reads the fields of an option's data, one after the other. */
class Fields {
  readonly #data: Buffer;
  #at = 0;

  constructor(data: Buffer) {
    this.#data = data;
  }

  get left(): number {
    return this.#data.length - this.#at;
  }

  uint16(): number {
    this.#need(2);
    this.#at += 2;
    return this.#data.readUInt16BE(this.#at - 2);
  }

  uint32(): number {
    this.#need(4);
    this.#at += 4;
    return this.#data.readUInt32BE(this.#at - 4);
  }

  string(bytes: number): string {
    this.#need(bytes);
    this.#at += bytes;
    return this.#data.toString('utf8', this.#at - bytes, this.#at);
  }

  end(): void {
    if (this.left > 0) throw new InvalidOption(`${this.left} bytes too many`);
  }

  #need(bytes: number): void {
    if (bytes > this.left) throw new InvalidOption('the data ends early');
  }
}

/** The content of INFO and GO. */
export interface InfoRequest {
  readonly name: string;
  /** Numbers of `Info` and others. */
  readonly wanted: ReadonlySet<number>;
}

/** The data of INFO and GO. */
export function decodeInfoRequest(data: Buffer): InfoRequest {
  const fields = new Fields(data);
  const name = exportName(fields);
  const count = fields.uint16();
  if (fields.left !== count * 2) throw new InvalidOption(`${count} information requests do not fill the data`);
  const wanted = new Set<number>();
  for (let index = 0; index < count; index += 1) wanted.add(fields.uint16());
  return { name, wanted };
}

/** The content of LIST_META_CONTEXT and SET_META_CONTEXT. Queries longer than any name are left out. */
export interface ContextRequest {
  readonly name: string;
  readonly queryCount: number;
  readonly queries: readonly string[];
}

/** The data of LIST_META_CONTEXT and SET_META_CONTEXT. */
export function decodeContextRequest(data: Buffer): ContextRequest {
  const fields = new Fields(data);
  const name = exportName(fields);
  const queryCount = fields.uint32();
  // Each has four bytes at least; the count is not believed.
  if (queryCount > fields.left / 4) throw new InvalidOption(`there is no room for ${queryCount} queries`);
  const queries: string[] = [];
  for (let index = 0; index < queryCount; index += 1) {
    const bytes = fields.uint32();
    const query = fields.string(bytes);
    if (bytes <= MAX_STRING_BYTES) queries.push(query);
  }
  fields.end();
  return { name, queryCount, queries };
}

function exportName(fields: Fields): string {
  const bytes = fields.uint32();
  if (bytes > MAX_STRING_BYTES) throw new InvalidOption(`a name of ${bytes} bytes is too long`);
  return fields.string(bytes);
}
