/** The commands of a console: lines run one after the other, their output, their completion. */
import { printable } from '../../util/printable.ts';
import { isYes } from '../../util/yes-no.ts';
import type { ControlLink } from '../control/control-link.ts';
import { RpcCode, RpcError } from '../control/messages.ts';
import type { CommandResult, LineCompletion } from '../control/session-control.ts';
import type { LineInput } from './line-input.ts';
import type { OutputLog } from './output-log.ts';

/** The console around the commands. */
export interface CommandHost {
  readonly link: ControlLink;
  readonly log: OutputLog;
  prompt(): string;
  /** How wide its terminal is. */
  columns(): number;
  remember(line: string): void;
  /** Reads an answer in the place of a command. */
  ask(prompt: string, answer: (line: string) => void): void;
  remark(text: string): void;
  leave(): void;
  /** Something is to be drawn anew. */
  changed(): void;
}

/** The lines of one console. */
export class CommandLines {
  readonly #host: CommandHost;
  /** Lines that wait for the running command; null while none runs. */
  #typedAhead: string[] | null = null;

  constructor(host: CommandHost) {
    this.#host = host;
  }

  get isRunning(): boolean {
    return this.#typedAhead !== null;
  }

  /** Runs a line, behind those that wait already. */
  submit(line: string): void {
    if (line.trim() === '') return;
    if (this.#typedAhead === null) void this.#runFrom(line);
    else this.#typedAhead.push(line);
  }

  /** Ends what the running command waits for, and drops what was typed ahead. False if none runs. */
  interrupt(): boolean {
    if (this.#typedAhead === null) return false;
    this.#typedAhead = [];
    void this.#call('interrupt', {});
    return true;
  }

  /** Shows what a command printed, or a request after its command. Hints and errors come behind what they are of. */
  takeOutput({ stdout, stderr }: { readonly stdout?: unknown; readonly stderr?: unknown }): void {
    for (const text of [stdout, stderr]) if (typeof text === 'string' && text !== '') this.#host.log.add(text);
    this.#host.changed();
  }

  /** Completes the word before the cursor as far as the candidates agree; a lone one is a whole word. */
  async complete(input: LineInput): Promise<void> {
    const [before] = input.halves;
    const answer = (await this.#call('complete', { line: before })) as LineCompletion | null;
    // Something else was typed meanwhile.
    if (answer === null || input.halves[0] !== before) return;
    const { candidates, word } = answer;
    const [first = ''] = candidates;
    const common = candidates.reduce(commonStart, first);
    const isWhole = candidates.length === 1 && !first.startsWith('-') && !/[/=]$/.test(first);
    if (candidates.length > 0) input.replaceBefore(word.length, printable(isWhole ? `${common} ` : common));
    if (candidates.length > 1 && common === word) this.#host.remark(printable(candidates.join('  ')));
    this.#host.changed();
  }

  async #runFrom(first: string): Promise<void> {
    this.#typedAhead = [];
    for (let line: string | undefined = first; line !== undefined; line = this.#typedAhead.shift()) {
      this.#host.log.addLine(`${this.#host.prompt()}${line}`);
      this.#host.remember(line);
      this.#host.changed();
      if (/^\s*(q|quit)(\s|$)/.test(line)) {
        this.#host.leave();
        break;
      }
      await this.#command(line, false);
    }
    this.#typedAhead = null;
    this.#host.changed();
  }

  async #command(line: string, confirmed: boolean): Promise<void> {
    const { link, log } = this.#host;
    try {
      const result = (await link.call('command', {
        line,
        terminal: true,
        columns: this.#host.columns(),
        confirmed,
      })) as CommandResult;
      this.takeOutput(result);
      if (result.truncated) log.addLine('(the output is longer than what is shown)');
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const question = questionOf(error);
      if (question === null) log.addLine(`(${printable(error.message)})`);
      else this.#confirm(line, question);
    }
    this.#host.changed();
  }

  #confirm(line: string, question: string): void {
    if (this.#typedAhead !== null) this.#typedAhead = [];
    this.#host.ask(question, (answer) => {
      if (isYes(answer)) void this.#command(line, true);
    });
  }

  /** The result; null if the session refuses, or has ended. */
  async #call(method: string, params: object): Promise<unknown> {
    try {
      return await this.#host.link.call(method, params);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      return null;
    }
  }
}

/** A tag as a word of a line. */
export function quotedTag(tag: string): string {
  return /[\s"'#]/.test(tag) ? `"${tag}"` : tag;
}

function questionOf({ code, data }: RpcError): string | null {
  if (code !== RpcCode.NEEDS_TERMINAL || data === undefined || !('question' in data)) return null;
  return printable(String(data.question));
}

function commonStart(a: string, b: string): string {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return a.slice(0, length);
}
