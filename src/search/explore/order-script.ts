/**
 * Orders as command files for qemu-io, which holds requests by `break` and lets them go on by `resume`.
 *
 * A turn of a request that stops at an event is: a breakpoint there, the request started or resumed, and `wait_break`.
 * One that goes to its end gets the time for it. qemu-io waits for a command that is not asynchronous, so the request
 * of such a line has one turn alone; reads and writes have asynchronous forms.
 */
import type { Stop } from '../scheduler.ts';
import { lineOf, turnsOf } from './order-words.ts';
import type { Step } from './step-recorder.ts';

/** Enough for a request that nothing holds to end, in milliseconds. */
const ENDS_WITHIN_MS = 100;

/** Options that the asynchronous form of a command has as well. */
const asyncForms: Readonly<Record<string, { readonly name: string; readonly options: RegExp }>> = {
  write: { name: 'aio_write', options: /^-[Cqzuf]*P?$/ },
  w: { name: 'aio_write', options: /^-[Cqzuf]*P?$/ },
  read: { name: 'aio_read', options: /^-[Cqv]*P?$/ },
  r: { name: 'aio_read', options: /^-[Cqv]*P?$/ },
};

/** A line in the form in which the program goes on while its request is under way; null if there is none. */
export function asyncForm(line: string): string | null {
  const [name = '', ...words] = line.trim().split(/\s+/);
  if (name.startsWith('aio_') && name !== 'aio_flush') return line.trim();
  const form = asyncForms[name];
  if (form === undefined || !words.every((word) => !word.startsWith('-') || form.options.test(word))) return null;
  return [form.name, ...words].join(' ');
}

/** Whether a request at this stop can be held there by a breakpoint. */
export function canBeHeld({ before }: Stop): boolean {
  return before.kind !== 'file';
}

/** The command file that runs the steps of a case in their order; null if these words cannot say it. */
export function scriptOf(steps: readonly Step[], lines: readonly string[]): string[] | null {
  const script = new OrderScript(steps, lines);
  return script.write() ? script.out : null;
}

/** A command file that is being written. */
class OrderScript {
  readonly out: string[] = [];
  readonly #steps: readonly Step[];
  readonly #lines: readonly string[];
  /** Lines that are in the file. */
  readonly #written = new Set<number>();
  /** Lines whose requests take turns. */
  readonly #taking: ReadonlySet<number>;
  /** The breakpoints that hold requests, by the requests' names. */
  readonly #tags = new Map<string, string>();
  #tagCount = 0;

  constructor(steps: readonly Step[], lines: readonly string[]) {
    this.#steps = steps;
    this.#lines = lines;
    this.#taking = new Set(steps.map(({ chosen }) => lineOf(chosen)));
  }

  /** False if there is no such file. */
  write(): boolean {
    let at = 0;
    for (const { name, until } of turnsOf(this.#steps)) {
      const turn: Step[] = [];
      while (this.#steps[at]?.chosen === name) turn.push(this.#steps[at++] as Step);
      const line = lineOf(name);
      const text = this.#lines[line - 1];
      // The image is opened and closed outside of all lines, and needs none.
      if (line === 0 || text === undefined) continue;
      if (name !== String(line) && name !== `${line}.2`) return false;
      this.#writeLinesBefore(line);
      if (!this.#writeTurn(name, text, turn, until)) return false;
    }
    this.#writeLinesBefore(this.#lines.length + 1);
    return true;
  }

  /** Lines that wait for nothing keep their place. */
  #writeLinesBefore(end: number): void {
    for (let line = 1; line < end; line++) {
      const text = this.#lines[line - 1]?.trim() ?? '';
      const waits = end <= this.#lines.length && /^aio_flush\b/.test(text);
      if (this.#taking.has(line) || this.#written.has(line) || waits) continue;
      this.#written.add(line);
      if (text !== '') this.out.push(text);
    }
  }

  #writeTurn(name: string, text: string, turn: readonly Step[], until: Stop | null): boolean {
    const isFirst = !this.#tags.has(name);
    const form = asyncForm(text);
    if (until === null) {
      if (isFirst) this.out.push(text.trim());
      else this.#resume(name);
      if (!isFirst || form === text.trim()) this.out.push(`sleep ${ENDS_WITHIN_MS}`);
      return true;
    }
    const { before } = until;
    // A request that has not begun is not there yet.
    if (before.kind === 'begin') return isFirst;
    if (before.kind !== 'event' || form === null) return false;
    const isOurs = (stop: Stop): boolean =>
      stop.before.kind === 'event' && stop.before.event === before.event && stop.before.node === before.node;
    const passed = turn.slice(1).filter(({ from }) => isOurs(from)).length;
    for (let times = 0; times <= passed; times++) this.#runTo(name, form, before.event);
    return true;
  }

  /** Runs a request up to the next event of a kind. */
  #runTo(name: string, form: string, event: string): void {
    const tag = `b${++this.#tagCount}`;
    this.out.push(`break ${event} ${tag}`);
    if (this.#tags.has(name)) this.#resume(name);
    else this.out.push(form);
    this.out.push(`wait_break ${tag}`);
    this.#tags.set(name, tag);
  }

  #resume(name: string): void {
    this.out.push(`resume ${this.#tags.get(name) ?? ''}`);
  }
}
