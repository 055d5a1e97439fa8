/** Node's line editor as one that draws nothing: it turns keys into a line, with history, kill ring and undo. */
import { createInterface, Interface, type Key } from 'node:readline';
import { Writable } from 'node:stream';

/** The surroundings of an editor: its history, its completion, and the listeners for lines and keys. */
export interface LineEditorOptions {
  /** Newest first. */
  readonly history: readonly string[];
  /** The most lines that the up key goes back. */
  readonly historySize: number;
  /** The candidates for the end of a text, and the part of it that they replace. */
  readonly complete: (text: string) => readonly [candidates: readonly string[], replaced: string];
  /** Tab was pressed twice where there are several candidates. */
  readonly list: (candidates: readonly string[]) => void;
  readonly onLine: (line: string) => void;
  /** Ctrl-D on an empty line. */
  readonly onEnd: () => void;
  readonly onKey: (text: string | undefined, key: Key) => void;
}

type KeyHandler = (text: string | undefined, key: Key) => void;

/** Members of Node's `Interface` that its documentation does not have; programs replace them since its beginning. */
interface NodeEditor extends Interface {
  line: string;
  cursor: number;
  /** While it is false a character is put at the end of the line, unmeasured, as that of a pasted text. */
  isCompletionEnabled: boolean;
  _ttyWrite: KeyHandler;
  _insertString: (text: string) => void;
  _tabComplete: (isSecondTab: boolean) => void;
}

/** A line that keys of standard input edit. */
export class LineEditor {
  readonly #node: NodeEditor;
  readonly #options: LineEditorOptions;

  constructor(options: LineEditorOptions) {
    this.#options = options;
    const node = createInterface({
      input: process.stdin,
      output: new Nowhere(),
      terminal: true,
      history: [...options.history],
      historySize: options.historySize,
      removeHistoryDuplicates: true,
      completer: () => [[], ''],
    }) as NodeEditor;
    this.#node = node;
    node._ttyWrite = options.onKey;
    node._tabComplete = (isSecondTab) => this.#complete(isSecondTab);
    node.on('line', options.onLine);
    // It repeats those of standard input, which `onHangUp` takes.
    node.on('error', () => {});
  }

  get line(): string {
    return this.#node.line;
  }

  get cursor(): number {
    return this.#node.cursor;
  }

  /** Puts a line in the place of the one that is edited. */
  set(line: string, cursor = line.length): void {
    this.#node.line = line;
    this.#node.cursor = cursor;
  }

  /** Does what a key is for; also on a terminal for which Node has a smaller editor (TERM=dumb). */
  edit(text: string | undefined, key: Key): void {
    const { line, cursor } = this.#node;
    if (key.ctrl === true && key.name === 'd' && line === '') {
      this.#options.onEnd();
      return;
    }
    this.#node.isCompletionEnabled = cursor < line.length || key.name === 'tab';
    handleKey.call(this.#node, text, key);
  }

  /** Takes no more keys, and gives the terminal back. */
  close(): void {
    this.#node.close();
  }

  #complete(isSecondTab: boolean): void {
    const { line, cursor } = this.#node;
    const [candidates, replaced] = this.#options.complete(line.slice(0, cursor));
    const common = commonStart(candidates);
    if (common.length > replaced.length && common.startsWith(replaced)) {
      this.#node.isCompletionEnabled = true;
      this.#node._insertString(common.slice(replaced.length));
    } else if (isSecondTab && candidates.length > 1) {
      this.#options.list(candidates);
    }
  }
}

const handleKey = (Interface.prototype as NodeEditor)._ttyWrite;

/** The output of Node's editor: it has the size of no terminal, as nothing of it is shown. */
class Nowhere extends Writable {
  readonly isTTY = true;
  readonly columns = Number.POSITIVE_INFINITY;

  override _write(_text: Buffer, _encoding: BufferEncoding, done: () => void): void {
    done();
  }
}

function commonStart(texts: readonly string[]): string {
  const [first = '', ...others] = texts;
  let length = first.length;
  for (const other of others) while (!other.startsWith(first.slice(0, length))) length -= 1;
  return first.slice(0, length);
}
