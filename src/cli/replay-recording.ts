/** `blkscope replay` for a recording: its commands run again on a copy of the image, and the outcome is compared. */
import { statSync } from 'node:fs';
import { BlockError, invalidArgument } from '../block/error.ts';
import type { TraceRecord } from '../block/events/trace.ts';
import { Open } from '../block/flags.ts';
import { drivers } from '../drivers/index.ts';
import { readRecording } from '../live/record/report.ts';
import { type HeaderLine, isRecord, type RecordingLine } from '../live/record/schema.ts';
import { Sandbox } from '../sandbox/sandbox.ts';
import { actsOutside, sandboxTable } from '../sandbox/sandbox-table.ts';
import { commandsOf } from '../shell/commands/index.ts';
import type { Output, OutputTap } from '../shell/output/output.ts';
import { settle } from '../shell/script.ts';
import type { Session } from '../shell/session.ts';
import { tokenize } from '../shell/words/tokenizer.ts';
import { printable } from '../util/printable.ts';
import { Exit, type Invocation, parseArguments } from './command-line.ts';
import { tellBusOfOutput } from './recording.ts';
import { RecordComparison } from './record-comparison.ts';
import type { Stdio } from './stdio.ts';
import { makeSession, openImage } from './wiring.ts';

const DIFFERENT = 1;
const COULD_NOT_RUN = 2;

/** Wider terminals than that are none. */
const COLUMNS_MAX = 10_000;
/** The most of a record that is shown. */
const SHOWN_CHARS = 300;

/**
 * Runs the session of a recording again; `image` stands for the one that it names. 0 if the same came of it, 1 after
 * saying where it differs, 2 if it cannot be run.
 */
export async function replayRecording(file: string, image: string | null, stdio: Stdio): Promise<number> {
  const notes: string[] = [];
  const lines = readRecording(file, notes);
  try {
    const header = lines.next().value as HeaderLine;
    checkBeginning(file, lines.next().value ?? null);
    const invocation = await invocationOf(header, image);
    const ending = { hasEnd: false };
    const replay = new Replay(header, invocation, new RecordComparison(recordsOf(lines, ending), ending));
    await replay.run();
    if (!ending.hasEnd && replay.difference === null) notes.push('the recording did not end in order');
    for (const note of [...notes, ...replay.notes]) stdio.stderr(`note: ${note}\n`);
    const { difference, commands, records } = replay;
    if (difference === null) {
      stdio.stdout(`${file}: ${commands} commands and ${records} records, the same again\n`);
      return 0;
    }
    const reason = image === null ? changeOfImage(header, invocation) : null;
    if (reason !== null) stdio.stderr(`note: ${reason}\n`);
    stdio.stdout(`${file}: differs ${printable(difference.place)}\n`);
    stdio.stdout(`recorded: ${shown(difference.recorded)}\nreplayed: ${shown(difference.replayed)}\n`);
    return DIFFERENT;
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    stdio.stderr(`blkscope replay: ${error.message}\n`);
    return COULD_NOT_RUN;
  } finally {
    lines.return();
  }
}

function checkBeginning(file: string, line: RecordingLine | null): void {
  if (line?.kind === 'snapshot' && line.nodes.length === 0) return;
  throw invalidArgument(`${file} does not begin with its session: --record makes one that can be run again`);
}

/** Only what says what to open, and how. */
async function invocationOf({ command, columns }: HeaderLine, image: string | null): Promise<Invocation> {
  let said = '';
  const say = (text: string): void => {
    said += text;
  };
  const programName = columns === undefined ? 'qemu-io' : 'blkscope';
  const parsed = await parseArguments(command, { programName, stdout: say, stderr: say });
  if (parsed instanceof Exit) throw invalidArgument(`the recorded command line cannot be read: ${said.trim()}`);
  const { file, demo, prompt } = parsed;
  if (demo && file === null && image === null) {
    throw invalidArgument('a session on the image of --demo: give an image to run it on');
  }
  const isDropIn = prompt?.startsWith('qemu-io') === true;
  return {
    ...parsed,
    file: imageInPlace(file, image),
    flags: parsed.flags & ~Open.SNAPSHOT,
    prompt: isDropIn ? 'qemu-io' : programName,
  };
}

/** `image`, if that is given, in the place of the image that `file` names; over blkdebug if that one is. */
function imageInPlace(file: string | null, image: string | null): string | null {
  if (image === null || image.startsWith('blkdebug:')) return image ?? file;
  const [above = ''] = /^blkdebug:[^:]*:/.exec(file ?? '') ?? [];
  return above + image;
}

/** The records of a recording; `ending` learns whether it ended in order. */
function* recordsOf(lines: Iterable<RecordingLine>, ending: { hasEnd: boolean }): Generator<TraceRecord, void> {
  for (const line of lines) {
    if (isRecord(line)) yield line;
    else if (line.kind === 'end') ending.hasEnd = true;
  }
}

/** Why it may differ: the image is not as it was when the recording began. Null if nothing tells of that. */
function changeOfImage({ startedAt }: HeaderLine, { file, imageOptions }: Invocation): string | null {
  const stats = file === null || imageOptions ? undefined : statSync(file, { throwIfNoEntry: false });
  if (stats === undefined || stats.mtimeMs <= Date.parse(startedAt)) return null;
  return `'${file}' was changed after the recording began; give a copy of it as it was then: blkscope replay RUN.ndjson IMAGE`;
}

function shown(record: TraceRecord | null): string {
  if (record === null) return 'nothing more';
  const { sequence: _, timeNs: __, kind, ...rest } = record;
  const text = `${kind} ${JSON.stringify(rest)}`;
  return printable(text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}\u2026` : text);
}

type CommandRecord = Extract<TraceRecord, { readonly kind: 'command' }>;

/** One session that runs again. */
class Replay {
  readonly notes: string[] = [];
  readonly #header: HeaderLine;
  readonly #invocation: Invocation;
  readonly #comparison: RecordComparison;
  readonly #sandbox = new Sandbox(drivers);
  #isClosed = false;
  commands = 0;

  constructor(header: HeaderLine, invocation: Invocation, comparison: RecordComparison) {
    this.#header = header;
    this.#invocation = invocation;
    this.#comparison = comparison;
  }

  get difference(): RecordComparison['difference'] {
    return this.#comparison.difference;
  }

  get records(): number {
    return this.#comparison.records;
  }

  async run(): Promise<void> {
    const output = new ReplayOutput(this.#header.columns);
    const commands = sandboxTable(commandsOf(this.#invocation.compat), 'and is left out');
    const { prompt } = this.#invocation;
    const session = makeSession(this.#invocation, output, prompt ?? 'qemu-io', { ...this.#sandbox.parts, commands });
    this.#sandbox.serve(session);
    tellBusOfOutput(session);
    session.context.trace.subscribe((record) => {
      this.#comparison.compare(record);
      // A command that has no end would go on for nothing.
      if (this.difference !== null) session.interrupt();
    });
    try {
      if (!(await openImage(session, this.#invocation))) {
        if (this.difference === null) throw invalidArgument(`the image cannot be opened: ${output.said.trim()}`);
        return;
      }
      while (this.difference === null && this.#comparison.next !== null) await this.#goOn(session);
    } finally {
      if (!this.#isClosed) await session.close();
      this.#sandbox.close();
    }
  }

  /** Does what leads to the next record: the next command, a turn of the loop, or the end. */
  async #goOn(session: Session): Promise<void> {
    const { next } = this.#comparison;
    if (next?.kind === 'command' && next.depth === 0) {
      await this.#command(session, next);
    } else if (next?.kind === 'request-begin' && next.client !== undefined) {
      this.notes.push('clients of an export took part, whose requests are not run again');
      this.#comparison.miss();
    } else if (next?.kind !== 'image-closing' && (await session.loop.poll())) {
      // Something has gone on by itself.
    } else if (!this.#isClosed) {
      this.#isClosed = true;
      await session.close();
    } else {
      this.#comparison.miss();
    }
  }

  async #command(session: Session, { line, syntax, client }: CommandRecord): Promise<void> {
    this.commands += 1;
    this.#comparison.command = this.commands;
    if (this.#invocation.commands.length === 0) await settle(session);
    if (this.difference !== null) return;
    const words = tokenize(line.replace(/^\s*!/, '! '));
    const command = commandsOf(this.#invocation.compat).find(words[0] ?? '');
    if (command !== undefined && actsOutside(command, words)) {
      this.notes.push(`'${printable(line.slice(0, SHOWN_CHARS))}' was left out: it acts on more than the image`);
      this.#comparison.skipCommand();
      // It had a number, as requests do.
      if (command.polls !== true || command.name === '!') await session.loop.run('left out', () => undefined);
      return;
    }
    session.background.origin = client ?? null;
    session.sourceDepth = syntax === 'extended' ? 1 : 0;
    try {
      await session.execute(line);
    } finally {
      session.background.origin = null;
      session.sourceDepth = 0;
    }
  }
}

/** Prints nowhere; as wide as the terminal of the recorded session. */
class ReplayOutput implements Output {
  tap: OutputTap | null = null;
  readonly isTerminal: boolean;
  readonly columns: number | undefined;
  /** The latest on standard error. */
  said = '';

  constructor(columns: number | undefined) {
    this.isTerminal = columns !== undefined;
    this.columns = columns === undefined || columns === 0 ? undefined : Math.min(columns, COLUMNS_MAX);
  }

  /** There is a person who turns pages; they are no output of the session. */
  get page(): ((text: string) => Promise<void>) | undefined {
    return this.isTerminal ? async () => {} : undefined;
  }

  stdout(text: string): void {
    this.tap?.('stdout', text, null);
  }

  stderr(text: string): void {
    this.said = text;
    this.tap?.('stderr', text, null);
  }

  flush(): void {
    // Nothing is held back.
  }

  drop(): void {
    // Nor is there anything to be dropped.
  }
}
