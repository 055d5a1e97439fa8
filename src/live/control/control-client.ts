/** A client of the control socket: its calls one after the other, its answers, and what it has subscribed to. */
import type { Socket } from 'node:net';
import { BlockError } from '../../block/error.ts';
import type { TraceRecord } from '../../block/events/trace.ts';
import { hostTurn } from '../../block/loop/clock.ts';
import { SCHEMA_VERSION } from '../record/schema.ts';
import type { Snapshot } from '../snapshot.ts';
import {
  errorText,
  notificationLine,
  parseMessage,
  resultText,
  type RpcCall,
  RpcCode,
  RpcError,
  type RpcRequest,
} from './messages.ts';
import { callMethod, goesFirst, type MethodContext, type Stream } from './methods.ts';
import { Outbox } from './outbox.ts';
import type { SessionControl } from './session-control.ts';
import { type RecordFilter, Subscription } from './subscription.ts';

/** The session around a client. */
export interface ControlHost {
  readonly control: SessionControl;
  readonly program: string;
  snapshot(): Snapshot;
  /** The clients of the socket, for `clients`. */
  clients(): readonly object[];
  /** A client has subscribed to something, which is given then, or follows nothing any more. */
  changed(subscribed?: ControlClient): void;
  /** A client that takes nothing for so long is disconnected. */
  readonly patienceMs: number;
  /** So often a client is written to while nothing is read from it. */
  readonly probeMs: number;
}

/** With more calls waiting nothing more is read. */
const MAX_WAITING = 100;
/** Calls that never wait are served so long before others have a turn. */
const TURN_MS = 5;

/** One client. */
export class ControlClient implements MethodContext {
  readonly client: string;
  label = '';
  /** Calls of methods so far. */
  calls = 0;
  readonly #socket: Socket;
  readonly #outbox: Outbox;
  readonly #host: ControlHost;
  readonly #waiting: (RpcCall | readonly RpcCall[])[] = [];
  #isServing = false;
  /** It sends nothing more; it is served on while it has subscribed to something. */
  #hasEnded = false;
  #leaves = false;
  #isGone = false;
  #subscription: Subscription | null = null;
  #streams: ReadonlySet<Stream> = new Set();
  #probing: NodeJS.Timeout | null = null;

  constructor(socket: Socket, client: string, host: ControlHost) {
    this.#socket = socket;
    this.client = client;
    this.#host = host;
    this.#outbox = new Outbox(socket, host.patienceMs, () => this.#drop());
    host.control.join(client, (output) => this.#outbox.sendUnasked(notificationLine('output', output)));
  }

  get control(): SessionControl {
    return this.#host.control;
  }

  get version(): MethodContext['version'] {
    return { program: this.#host.program, schema: SCHEMA_VERSION };
  }

  clients(): readonly object[] {
    return this.#host.clients();
  }

  subscribe(to: readonly Stream[], filter: RecordFilter): void {
    this.#streams = new Set(to);
    this.#subscription = to.includes('records') ? new Subscription(filter, this.#host.snapshot().requests) : null;
    this.#host.changed(this);
    if (to.includes('snapshots')) this.#outbox.sendIfRoom(notificationLine('snapshot', this.#host.snapshot()));
  }

  unsubscribe(): void {
    this.#streams = new Set();
    this.#subscription = null;
    this.#host.changed();
  }

  leave(): void {
    this.#leaves = true;
  }

  /** Whether it follows a stream. */
  follows(stream: Stream): boolean {
    return this.#streams.has(stream);
  }

  /** It as `clients` lists it. */
  get view(): object {
    const { client, label, calls } = this;
    return { client, label, follows: [...this.#streams], calls, backlogBytes: this.#outbox.backlogBytes };
  }

  /** Takes a line of the client. */
  receive(line: string): void {
    if (line.trim() === '' || this.#leaves) return;
    const message = parseMessage(line);
    if ('method' in message && goesFirst(message.method)) {
      void this.#answer(message).then((text) => this.#send(text));
      return;
    }
    this.#waiting.push(message);
    if (this.#waiting.length >= MAX_WAITING && !this.#socket.isPaused()) {
      this.#socket.pause();
      this.#startProbing();
    }
    void this.#serve();
  }

  /** The client has sent a line that is too long: it is told, and left. */
  refuseEndlessLine(): void {
    if (this.#leaves) return;
    this.#send(errorText(null, new RpcError(RpcCode.PARSE, 'a message is too long')));
    this.#sayGoodbye();
  }

  /** The client sends nothing more. */
  endInput(): void {
    this.#hasEnded = true;
    this.#probe();
    this.#startProbing();
    void this.#serve();
  }

  /** A client that nothing is read from, and that is gone, shows when it is written to. */
  #probe(): void {
    if (this.#outbox.backlogBytes === 0) this.#outbox.send(notificationLine('alive', {}));
  }

  #startProbing(): void {
    this.#probing ??= setInterval(() => this.#probe(), this.#host.probeMs);
    this.#probing.unref();
  }

  #stopProbing(): void {
    if (this.#probing !== null) clearInterval(this.#probing);
    this.#probing = null;
  }

  /** The connection is gone. */
  gone(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#waiting.length = 0;
    this.#stopProbing();
    this.control.leave(this.client);
    this.unsubscribe();
    this.#outbox.close();
  }

  /** It has taken what waited for it. */
  drained(): void {
    if (this.#outbox.hasDropped) {
      this.#outbox.tellDropped();
      if (this.follows('snapshots')) this.#outbox.send(notificationLine('snapshot', this.#host.snapshot()));
    }
    this.#outbox.drained();
  }

  /** Takes a record of the bus; `line` makes its notification, once for all clients. */
  record(record: TraceRecord, line: () => string): void {
    if (this.#subscription?.wants(record) === true) this.#outbox.batchIfRoom(line);
  }

  /** Hands the records so far to the socket. */
  flush(): void {
    this.#outbox.flush();
  }

  /** Takes a line of the stream of snapshots, or of the latest events. */
  take(stream: Stream, line: string): void {
    if (this.follows(stream)) this.#outbox.sendIfRoom(line);
  }

  /** The last lines: the session has ended. */
  dismiss(snapshot: string, events: string, end: string): void {
    this.#leaves = true;
    this.#outbox.flush();
    if (this.#outbox.hasDropped) this.drained();
    if (this.follows('events')) this.#outbox.send(events);
    if (this.follows('snapshots')) this.#outbox.send(snapshot);
    this.#outbox.send(end);
  }

  async #serve(): Promise<void> {
    if (this.#isServing) return;
    this.#isServing = true;
    let turnedMs = performance.now();
    for (let next = this.#waiting.shift(); next !== undefined && !this.#leaves; next = this.#waiting.shift()) {
      this.#send(await this.#answerAll(next));
      if (this.#waiting.length < MAX_WAITING / 2 && this.#socket.isPaused()) {
        this.#socket.resume();
        if (!this.#hasEnded) this.#stopProbing();
      }
      if (performance.now() - turnedMs > TURN_MS) {
        await hostTurn();
        turnedMs = performance.now();
      }
      await this.#outbox.room();
    }
    this.#isServing = false;
    if (this.#leaves || (this.#hasEnded && this.#streams.size === 0 && this.#waiting.length === 0)) this.#sayGoodbye();
  }

  /** The client gets nothing more. What it still sends is thrown away, so that its end is seen. */
  #sayGoodbye(): void {
    this.#leaves = true;
    this.#waiting.length = 0;
    this.#socket.end();
    this.#socket.resume();
    setTimeout(() => this.#socket.destroy(), this.#host.patienceMs).unref();
  }

  async #answerAll(message: RpcCall | readonly RpcCall[]): Promise<string> {
    if (!isBatch(message)) return this.#answer(message);
    const answers: string[] = [];
    for (const call of message) {
      const text = await this.#answer(call);
      if (text !== '') answers.push(text);
    }
    return answers.length === 0 ? '' : `[${answers.join(',')}]`;
  }

  /** The answer; empty for a notification. */
  async #answer(call: RpcCall): Promise<string> {
    this.calls += 1;
    if ('error' in call) return errorText(call.id, call.error);
    const { id } = call;
    try {
      const result = await this.#call(call);
      return id === undefined ? '' : resultText(id, result);
    } catch (error) {
      return id === undefined ? '' : errorText(id, explain(error));
    }
  }

  async #call({ method, params }: RpcRequest): Promise<unknown> {
    if (this.#isGone) throw new RpcError(RpcCode.NOT_RUN, 'the client has gone');
    return callMethod(this, method, params);
  }

  /** The records of what a call did come before its answer. */
  #send(text: string): void {
    if (text !== '') this.#outbox.send(`${text}\n`);
  }

  #drop(): void {
    if (this.#isGone) return;
    this.control.tell(`${this.client}: it does not read; disconnected`);
    this.#socket.destroy();
    this.gone();
  }
}

function isBatch(message: RpcCall | readonly RpcCall[]): message is readonly RpcCall[] {
  return Array.isArray(message);
}

function explain(error: unknown): RpcError {
  if (error instanceof RpcError) return error;
  if (error instanceof BlockError) return new RpcError(RpcCode.REFUSED, error.message, { errno: error.errno });
  return new RpcError(RpcCode.INTERNAL, `internal error: ${error instanceof Error ? error.message : String(error)}`);
}
