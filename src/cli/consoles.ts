/** Other consoles of a session: their commands one after the other, their output, the pictures that they ask for. */
import { assert } from '../util/assert.ts';
import { strerror } from '../util/errno.ts';
import { printable } from '../util/printable.ts';
import { RpcCode, RpcError } from '../live/control/messages.ts';
import type {
  CommandResult,
  ConsoleCommand,
  ConsoleOutput,
  LineCompletion,
  PictureName,
  PictureOptions,
  SessionControl,
} from '../live/control/session-control.ts';
import { CommandFailure } from '../shell/failure.ts';
import { settle } from '../shell/script.ts';
import type { Session } from '../shell/session.ts';
import type { SessionConsoles } from '../shell/session-views.ts';
import { complete } from '../shell/words/completion.ts';
import { leavingQuestion, suspendedCount } from './prompt.ts';
import { infoOf, noImage } from './session-snapshot.ts';
import type { ConsoleSink, RoutedOutput } from './routed-output.ts';

/** The program around the session. */
export interface ConsoleHost {
  /** The session ends in order. */
  shutdown(): void;
  /** A command of a console begins, which a user at the session's own terminal may want to see. */
  began(client: string, line: string): void;
  /** It has ended: prompt and panel may have changed. */
  ended(): void;
  tell(line: string): void;
}

/** A command prints no more than this; the rest is left out. */
const MAX_OUTPUT_CHARS = 8 << 20;
/** A longer line is cut where it is shown. */
const SHOWN_CHARS = 200;

/** A command that waits for its turn. */
interface WaitingCommand {
  readonly command: ConsoleCommand;
  readonly resolve: (result: CommandResult) => void;
  readonly reject: (error: RpcError) => void;
}

/** The consoles of one session. */
export class Consoles implements SessionControl, SessionConsoles {
  readonly #session: Session;
  readonly #output: RoutedOutput;
  readonly #host: ConsoleHost;
  readonly #sinks = new Map<string, CollectingSink>();
  #waiting: WaitingCommand[] = [];
  /** The console whose command runs. */
  #running: string | null = null;
  #hasEnded = false;

  constructor(session: Session, output: RoutedOutput, host: ConsoleHost) {
    this.#session = session;
    this.#output = output;
    this.#host = host;
    output.serve(session);
    session.consoles = this;
  }

  get hasCommands(): boolean {
    return this.#waiting.length > 0;
  }

  join(client: string, late: (output: ConsoleOutput) => void): void {
    const sink = new CollectingSink((texts) => late({ ...texts, unfinished: this.#unfinished(client) }));
    this.#sinks.set(client, sink);
    this.#output.add(client, sink);
  }

  leave(client: string): void {
    this.#dropWaiting(client);
    this.interrupt(client);
    this.#sinks.delete(client);
    this.#output.delete(client);
  }

  command(command: ConsoleCommand): Promise<CommandResult> {
    if (this.#hasEnded) throw notRun('the session has ended');
    return new Promise((resolve, reject) => {
      this.#waiting.push({ command, resolve, reject });
      // Ends the sleep of a loop that waits for a line or for a client.
      this.#session.loop.schedule(() => {});
    });
  }

  isQuit(line: string): boolean {
    return this.#commandOf(line)?.name === 'quit';
  }

  idleResult(client: string): CommandResult {
    return this.#result(client, 0, { stdout: '', stderr: '' }, false);
  }

  interrupt(client: string): boolean {
    if (this.#running === client) {
      this.#session.interrupt();
      return true;
    }
    return this.#dropWaiting(client);
  }

  async runCommands(): Promise<void> {
    // Those that come meanwhile have to let the session's own line go first.
    const due = this.#waiting;
    this.#waiting = [];
    for (let next = due.shift(); next !== undefined; next = due.shift()) {
      if (this.#session.quitRequested) {
        this.#waiting = [next, ...due, ...this.#waiting];
        return;
      }
      await this.#run(next);
    }
  }

  async #run({ command, resolve, reject }: WaitingCommand): Promise<void> {
    const { client, line, isTerminal, columns } = command;
    const session = this.#session;
    const sink = this.#sinks.get(client);
    // It left while others had their turn.
    if (sink === undefined) return reject(notRun('the client has gone'));
    const question = this.#question(command);
    if (question !== null) {
      const text = 'it would ask first at a terminal; "confirmed": true answers yes';
      return reject(new RpcError(RpcCode.NEEDS_TERMINAL, text, { question }));
    }
    const { background } = session;
    this.#host.began(client, shownLine(line));
    sink.begin(isTerminal, columns);
    background.origin = client;
    this.#running = client;
    let status: number;
    try {
      await settle(session);
      status = await session.execute(line);
      // What has ended by now reports before the answer, as it does before the next prompt of a script.
      await settle(session);
    } finally {
      this.#running = null;
      background.origin = null;
      // An interrupt was for this command alone.
      background.begin();
    }
    const isTruncated = sink.isTruncated;
    resolve(this.#result(client, status, sink.end(), isTruncated));
    this.#host.ended();
  }

  /** The question that the session's own terminal would ask before this command; null for none. */
  #question({ line, isTerminal, isConfirmed }: ConsoleCommand): string | null {
    if (!isTerminal || isConfirmed || this.#commandOf(line)?.name !== 'close') return null;
    return leavingQuestion(this.#session);
  }

  picture(name: PictureName, options: PictureOptions): unknown {
    const session = this.#session;
    if (name === 'info') return infoOf(session);
    const command = session.shell.commands.find(name);
    assert(command !== undefined, 'each picture has a command');
    if (command.needsFile && session.backend === null) throw noImage();
    const sink = new CollectingSink(() => {});
    sink.begin(false);
    try {
      // Those that draw pictures never wait.
      void this.#output.captured(sink, () => command.run(session, [name, ...pictureWords(options)], session.shell));
    } catch (error) {
      if (!(error instanceof CommandFailure)) throw error;
      const { stdout, stderr } = sink.end();
      const message = (stdout + stderr).trim() || strerror(error.errno);
      throw new RpcError(RpcCode.REFUSED, message, { errno: error.errno });
    }
    return JSON.parse(sink.end().stdout);
  }

  complete(line: string): LineCompletion {
    const sink = new CollectingSink(() => {});
    sink.begin(true);
    return this.#output.captured(sink, () => complete(this.#session.shell, line));
  }

  exportClients(): readonly object[] {
    return this.#session.exports?.clients() ?? [];
  }

  shutdown(): void {
    this.#host.shutdown();
  }

  end(): void {
    this.#hasEnded = true;
    for (const { reject } of this.#waiting.splice(0)) reject(notRun('the session has ended'));
  }

  tell(line: string): void {
    this.#host.tell(line);
  }

  #commandOf(line: string): { readonly name: string } | undefined {
    const [word = ''] = /\S+/.exec(line) ?? [];
    return this.#session.shell.commands.find(word);
  }

  #dropWaiting(client: string): boolean {
    const dropped = this.#waiting.filter(({ command }) => command.client === client);
    this.#waiting = this.#waiting.filter(({ command }) => command.client !== client);
    for (const { reject } of dropped) reject(notRun('it was interrupted before it began'));
    return dropped.length > 0;
  }

  #unfinished(client: string): number {
    return this.#session.background.unfinishedOf(client);
  }

  #result(
    client: string,
    status: number,
    texts: { readonly stdout: string; readonly stderr: string },
    truncated: boolean,
  ): CommandResult {
    const unfinished = this.#unfinished(client);
    return { status: Math.abs(status), ...texts, unfinished, suspended: suspendedCount(this.#session), truncated };
  }
}

function notRun(message: string): RpcError {
  return new RpcError(RpcCode.NOT_RUN, message);
}

function shownLine(line: string): string {
  return printable(line.length > SHOWN_CHARS ? `${line.slice(0, SHOWN_CHARS)}\u2026` : line);
}

/** The options of the command, as words. */
function pictureWords({ node, all, counts, limit, filter }: PictureOptions): string[] {
  const words = ['-j'];
  if (all === true) words.push('-a');
  if (counts === true) words.push('-c');
  if (node !== undefined) words.push('-n', node);
  if (limit !== undefined) words.push('-n', String(limit));
  if (filter !== undefined) words.push('--', filter);
  return words;
}

/** Collects the output of a command; what comes afterwards goes on in pieces, one a turn of Node. */
class CollectingSink implements ConsoleSink {
  isTerminal = false;
  columns: number | undefined = undefined;
  isTruncated = false;
  readonly #late: (texts: { stdout: string; stderr: string }) => void;
  #isCollecting = false;
  #isScheduled = false;
  #stdout = '';
  #stderr = '';

  constructor(late: (texts: { stdout: string; stderr: string }) => void) {
    this.#late = late;
  }

  /** `columns` is 0 if they are not known. */
  begin(isTerminal: boolean, columns = 0): void {
    this.isTerminal = isTerminal;
    this.columns = isTerminal && columns > 0 ? columns : undefined;
    this.isTruncated = false;
    this.#isCollecting = true;
  }

  end(): { stdout: string; stderr: string } {
    this.#isCollecting = false;
    const texts = { stdout: this.#stdout, stderr: this.#stderr };
    this.#stdout = '';
    this.#stderr = '';
    return texts;
  }

  stdout(text: string): void {
    if (this.#hasRoom(text)) this.#stdout += text;
  }

  stderr(text: string): void {
    if (this.#hasRoom(text)) this.#stderr += text;
  }

  #hasRoom(text: string): boolean {
    if (!this.#isCollecting && !this.#isScheduled) {
      this.#isScheduled = true;
      setImmediate(() => this.#sendLate());
    }
    if (this.#stdout.length + this.#stderr.length + text.length <= MAX_OUTPUT_CHARS) return true;
    this.isTruncated = true;
    return false;
  }

  #sendLate(): void {
    this.#isScheduled = false;
    // A command that has begun meanwhile has it in its answer.
    if (!this.#isCollecting && this.#stdout + this.#stderr !== '') this.#late(this.end());
  }
}
