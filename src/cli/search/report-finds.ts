/** After a search: shrinks its finds, writes them as files, has them confirmed, and makes their page. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { withContext } from '../../block/error.ts';
import type { Find } from '../../search/engine.ts';
import { Shrinker, type ShrunkFind } from '../../search/finds/shrinker.ts';
import { inOrder } from '../../search/reporters/find-table.ts';
import type { FindScript, Json, Rerun } from '../../search/strategy.ts';
import type { VerdictName } from '../../search/verdict.ts';
import { openRecorder } from '../recording.ts';
import { writeDisks } from './case-files.ts';
import { confirmFind } from './confirm-find.ts';
import { findsPage, type PageFind } from './finds-page.ts';
import { findWords, isStock } from './find-words.ts';
import { type PreparedSearch, searchOver } from './prepare-search.ts';
import type { SearchWords } from './search-words.ts';

/** Cases that one find may take to be shrunk. */
const SHRINK_CASES_MAX = 2000;

/** A find in a file, as `blkscope replay` takes it. */
export interface SavedFind {
  readonly find: string;
  readonly version: 1;
  /** Words of the search, without its script. */
  readonly words: readonly string[];
  readonly lines: readonly string[];
  readonly recipe: Json;
  readonly verdict: VerdictName;
  readonly signature: string;
}

/** The options of a search that say what becomes of its finds; null where they are not given. */
export interface FindOptions {
  readonly folder: string | null;
  readonly confirmedBy: string | null;
  readonly page: string | null;
}

/** A shrunk find, run again. */
interface MadeFind {
  readonly shrunk: ShrunkFind;
  readonly rerun: Rerun;
  readonly script: FindScript | null;
  /** Gives back what the find holds: its files are read from the search. */
  close(): void;
}

/** Does with each find what `options` ask for, the worst first; `say` prints what came of it. */
export async function reportFinds(
  finds: readonly Find[],
  words: SearchWords,
  prepared: PreparedSearch,
  options: FindOptions,
  say: (text: string) => void,
): Promise<void> {
  const { folder, confirmedBy, page } = options;
  if (folder === null && confirmedBy === null && page === null) return;
  if (folder !== null) withContext(`Could not make '${folder}'`, () => mkdirSync(folder, { recursive: true }));
  const pages: PageFind[] = [];
  for (const [index, find] of inOrder(finds).entries()) {
    const number = index + 1;
    const made = await makeFind(find, words, prepared, page === null ? undefined : (html) => pages.push(html));
    if (made === null) continue;
    try {
      if (folder !== null)
        say(`${number}. ${writeFind(made, find, path.join(folder, `find-${number}`), words, prepared)}\n`);
      if (confirmedBy !== null) say(`${number}. ${await confirmed(made, confirmedBy, words, prepared)}\n`);
    } finally {
      made.close();
    }
  }
  if (page !== null) withContext(`Could not write '${page}'`, () => writeFileSync(page, findsPage(pages)));
}

async function makeFind(
  find: Find,
  words: SearchWords,
  prepared: PreparedSearch,
  keepPage: ((find: PageFind) => void) | undefined,
): Promise<MadeFind | null> {
  const over = (lines: readonly string[]): ReturnType<typeof searchOver> => searchOver(words, prepared, lines);
  const whole = { lines: prepared.scenario.lines, recipe: find.first.recipe };
  const shrinker = new Shrinker(over, whole, find.signature, SHRINK_CASES_MAX);
  const shrunk = await shrinker.run();
  // So that a program that reads the same wrong data can be told from one that reads the right.
  const isRead = find.verdict === 'wrong data';
  const lines = isRead
    ? shrunk.lines.map((line) => line.replace(/^(\s*(?:aio_)?read)(?= (?!.*-[vPq]))/, '$1 -v'))
    : shrunk.lines;
  const search = await over(lines);
  if (search === null) return null;
  try {
    const script = await search.units.script(shrunk.recipe);
    const recording = keepPage === undefined ? null : new PageRecording();
    const rerun = await search.units.again(shrunk.recipe, {
      started: (session) => recording?.begin(session, lines),
    });
    const { title, verdict, detail } = rerun.outcome;
    keepPage?.({ title, verdict, detail, lines, rules: script?.rules ?? '', html: recording?.end() ?? '' });
    const close = (): void => {
      script?.files?.release();
      search.close();
    };
    return { shrunk: { lines, recipe: shrunk.recipe }, rerun, script, close };
  } catch (error) {
    search.close();
    throw error;
  }
}

/** Writes the files of a find; the command that runs it. */
function writeFind(
  { shrunk, rerun, script }: MadeFind,
  find: Find,
  base: string,
  words: SearchWords,
  { invocation }: PreparedSearch,
): string {
  const saved: SavedFind = {
    find: words.strategy.name,
    version: 1,
    words: [...words.program, ...ownWords(words)],
    lines: shrunk.lines,
    recipe: shrunk.recipe,
    verdict: rerun.outcome.verdict,
    signature: find.signature,
  };
  const write = (ending: string, text: string): void =>
    withContext(`Could not write '${base}${ending}'`, () => writeFileSync(base + ending, text));
  write('.json', `${JSON.stringify(saved, null, 2)}\n`);
  if (script === null) return `blkscope replay ${base}.json`;
  const rules = script.rules === '' ? '' : `${base}.conf`;
  const files = script.files === undefined ? null : writeDisks(script.files, base);
  const command = findWords(words.program, invocation, rules, (name) => files?.get(name) ?? name);
  if (command === null) return `blkscope replay ${base}.json`;
  write('.cmd', script.lines.map((line) => `${line}\n`).join(''));
  if (rules !== '') write('.conf', script.rules);
  const program = isStock(script.lines) && !invocation.bail ? 'qemu-io' : 'blkscope';
  return `${[program, ...command].map(quoted).join(' ')} < ${quoted(`${base}.cmd`)}`;
}

function ownWords({ strategy, own }: SearchWords): string[] {
  const kept = [...own].filter(([name]) => strategy.writtenOnce?.includes(name) !== true);
  return kept.map(([name, value]) => (value === '' ? `--${name}` : `--${name}=${value}`));
}

function quoted(word: string): string {
  return /^[\w./:=,+@%-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

async function confirmed(
  { rerun, script }: MadeFind,
  program: string,
  words: SearchWords,
  { invocation, baseline }: PreparedSearch,
): Promise<string> {
  if (script === null) return 'not confirmed: it cannot be said in rules of a file';
  if (!isStock(script.lines)) return 'not confirmed: the script has commands that qemu-io does not know';
  const { judged } = rerun;
  const answer = await confirmFind({ program, words: words.program, invocation, script, judged, baseline });
  return `${answer.isConfirmed ? 'confirmed' : 'not confirmed'}: ${answer.text}`;
}

type Session = Parameters<typeof openRecorder>[0];

/** A case kept as a page, by way of a temporary file. */
class PageRecording {
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'blkscope-page-'));
  #recorder: Awaited<ReturnType<typeof openRecorder>> | null = null;

  async begin(session: Session, lines: readonly string[]): Promise<void> {
    this.#recorder = await openRecorder(session, this.#file, lines);
  }

  get #file(): string {
    return path.join(this.#folder, 'find.html');
  }

  /** The page. */
  end(): string {
    this.#recorder?.close();
    const html = this.#recorder === null ? '' : readFileSync(this.#file, 'utf8');
    rmSync(this.#folder, { recursive: true, force: true });
    return html;
  }
}
