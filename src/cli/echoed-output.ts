/** The terminal as a line editor sees it: what it writes goes through a function first. */
import { Writable } from 'node:stream';

/** A stream for readline in the place of the terminal. */
export class EchoedOutput extends Writable {
  readonly isTTY = true;
  readonly #change: (text: string) => string;

  /** `change` gives what is written in the place of a text. */
  constructor(change: (text: string) => string) {
    super({ decodeStrings: false });
    this.#change = change;
    process.stdout.on('resize', () => this.emit('resize'));
  }

  get columns(): number {
    return process.stdout.columns;
  }

  get rows(): number {
    return process.stdout.rows;
  }

  /** At once, as standard output on a terminal does: the order among all writers is that of the calls. */
  override _write(text: string, _encoding: BufferEncoding, done: () => void): void {
    process.stdout.write(this.#change(text));
    done();
  }
}
