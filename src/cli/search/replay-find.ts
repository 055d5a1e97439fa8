/** `blkscope replay`: runs a find once more, for a reader or, on a terminal, in a shell that stops before the end. */
import { invalidArgument } from '../../block/error.ts';
import type { CaseViewer } from '../../search/case.ts';
import type { Json } from '../../search/strategy.ts';
import type { Session } from '../../shell/session.ts';
import { runLines } from '../../shell/script.ts';
import { isTerminal } from '../../sys/tty.ts';
import type { Stdio } from '../stdio.ts';
import { Views } from '../views.ts';
import { readInput } from './case-files.ts';
import { prepareLines, reasonOf } from './prepare-search.ts';
import type { SavedFind } from './report-finds.ts';
import { parseSearchWords, strategies } from './search-words.ts';

/** A longer one is none that a search has written. */
const FIND_MAX_BYTES = 64 << 20;
const NOT_THE_SAME = 1;
const COULD_NOT_RUN = 2;

/** Runs the find of a file. 0 if it shows what it showed, 1 if not, 2 if it cannot be run. */
export async function replayFind(file: string, stdio: Stdio): Promise<number> {
  try {
    return await replay(file, stdio);
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === null) throw error;
    stdio.stderr(`blkscope replay: ${reason}\n`);
    return COULD_NOT_RUN;
  }
}

async function replay(file: string, stdio: Stdio): Promise<number> {
  const saved = parseFind(file);
  const strategy = strategies.find(({ name }) => name === saved.find);
  if (strategy === undefined) throw invalidArgument(`${file}: there is no search '${saved.find}'`);
  const hasNoScript = (strategy.standsForScript ?? []).some((name) =>
    saved.words.some((word) => word.startsWith(`--${name}=`)),
  );
  const words = parseSearchWords(strategy, hasNoScript ? saved.words : [...saved.words, file]);
  const { units } = await prepareLines(words, saved.lines, (text) => stdio.stderr(text));
  const { outcome } = await units.again(saved.recipe, viewerOn(stdio));
  stdio.stdout(`${outcome.title}\n${outcome.verdict}${outcome.detail === '' ? '' : `: ${outcome.detail}`}\n`);
  return outcome.signature === saved.signature ? 0 : NOT_THE_SAME;
}

/** The lines are shown as if they were typed. */
function viewerOn(stdio: Stdio): CaseViewer {
  let isScript = true;
  const echo = {
    stdout: (text: string): void => stdio.stdout(text),
    stderr: (text: string): void => stdio.stderr(text),
    flush: (): void => stdio.flush(),
    drop: (): void => stdio.drop(),
    drained: () => stdio.drained(),
    // The script means what it means in a pipe.
    get isTerminal(): boolean {
      return !isScript && stdio.isTerminal;
    },
    get paint() {
      return isScript ? undefined : stdio.paint;
    },
  };
  return {
    echo,
    line: (text) => stdio.stdout(`qemu-io> ${text}\n`),
    async ending(session) {
      isScript = false;
      if (stdio.isTerminal && isTerminal(0)) await converse(session, stdio);
    },
  };
}

/** A shell on the session of the case, until the user leaves it. */
async function converse(session: Session, stdio: Stdio): Promise<void> {
  const { Terminal } = await import('../terminal.ts');
  const views = new Views(session, stdio, ['replay']);
  if (stdio.hasCursor) await views.setLive(true);
  stdio.stderr('(the script has ended; when you leave, the image is closed and checked)\n');
  let isLeft = false;
  const quit = (): void => {
    isLeft = true;
  };
  const terminal = new Terminal(session, stdio, views, { plainPrompt: null, settings: null, pages: true, quit });
  while (!isLeft && !session.quitRequested && !terminal.isEnded) await runLines(session.shell, terminal, null);
  terminal.stop();
  await views.setLive(false);
}

function parseFind(file: string): SavedFind {
  const text = readInput(file, FIND_MAX_BYTES).toString();
  let found: Partial<Record<keyof SavedFind, unknown>>;
  try {
    found = JSON.parse(text) as typeof found;
  } catch {
    throw invalidArgument(`${file}: no find of a search`);
  }
  const { find, version, words, lines, recipe, verdict, signature } = found;
  const areTexts = (values: unknown): values is string[] =>
    Array.isArray(values) && values.every((value) => typeof value === 'string');
  const isFind =
    typeof find === 'string' && version === 1 && areTexts(words) && areTexts(lines) && recipe !== undefined;
  if (!isFind || typeof signature !== 'string' || typeof verdict !== 'string') {
    throw invalidArgument(`${file}: no find of a search`);
  }
  return { find, version, words, lines, recipe: recipe as Json, verdict: verdict as SavedFind['verdict'], signature };
}
