/** Runs a search from its command line: threads, reporters, signals and the exit status. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { invalidArgument, withContext } from '../../block/error.ts';
import { type Reporter, Search } from '../../search/engine.ts';
import { findTable } from '../../search/reporters/find-table.ts';
import { junit } from '../../search/reporters/junit.ts';
import { resultLines } from '../../search/reporters/result-lines.ts';
import { headerLine, type Header, ResultSet } from '../../search/results.ts';
import { parseShard } from '../../search/shard.ts';
import { numberOption, type Strategy } from '../../search/strategy.ts';
import { localWorkers, threadWorkers } from '../../search/workers.ts';
import { onFatalSignals, dieOf } from '../signals.ts';
import type { Stdio } from '../stdio.ts';
import { readResults } from './case-files.ts';
import { type PreparedSearch, prepareSearch, reasonOf } from './prepare-search.ts';
import { progressLine } from './progress-line.ts';
import { type FindOptions, reportFinds } from './report-finds.ts';
import { casesMaxOf, parseSearchWords, type SearchWords } from './search-words.ts';

/** The word that starts the program as a thread of a search. */
const WORKER_WORD = '--search-worker';

/** Exit statuses. */
const FOUND = 1;
const COULD_NOT_RUN = 2;

/** Threads in one search. */
const JOBS_MAX = 256;

/** Runs a search; `words` are behind its name. 0: nothing found; 1: a find; 2: it could not run, or not to its end. */
export async function runSearch(strategy: Strategy, words: readonly string[], stdio: Stdio): Promise<number> {
  try {
    return await run(strategy, words, stdio);
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === null) throw error;
    stdio.stderr(`blkscope ${strategy.name}: ${reason}\n`);
    return COULD_NOT_RUN;
  }
}

async function run(strategy: Strategy, words: readonly string[], stdio: Stdio): Promise<number> {
  const parsed = parseSearchWords(strategy, words);
  const { common } = parsed;
  const jobs = Math.min(numberOption(common, 'jobs', availableParallelism(), { least: 1 }), JOBS_MAX);
  const shard = parseShard(common.get('shard') ?? null, process.env);
  const casesMax = casesMaxOf(parsed);
  const secondsMax = numberOption(common, 'max-time', 0, { least: 1 });
  const prepared = await prepareSearch(parsed, (text) => stdio.stderr(text));
  const header = headerOf(parsed, prepared);
  const earlier = readEarlier(common.get('resume'), header);
  const files: OutputFile[] = [];
  const isJson = common.has('json');
  const reporters = [...fileReporters(common, files)];
  if (isJson) reporters.push(resultLines((text) => stdio.stdout(text)));
  const say = (text: string): void => (isJson ? stdio.stderr(text) : stdio.stdout(text));
  reporters.push(findTable(say));

  const threads = jobs === 1 ? [] : startThreads(strategy.name, words, jobs);
  const workers = threads.length === 0 ? localWorkers(prepared.units) : threadWorkers(threads);
  const leaksCount = common.has('leaks');
  const search = new Search({ header, workers, shard, casesMax, earlier, leaksCount, reporters });
  let wasInterrupted = false;
  onFatalSignals((signal) => {
    if (wasInterrupted) dieOf(signal);
    wasInterrupted = true;
    search.stop();
  });
  const timer = secondsMax === 0 ? null : setTimeout(() => search.stop(), Math.min(secondsMax * 1000, 0x7fffffff));
  const endProgress = progressLine(strategy.name, stdio.progress, () => search.progress);
  let isWhole: boolean;
  try {
    isWhole = await search.run();
  } finally {
    endProgress();
    if (timer !== null) clearTimeout(timer);
    for (const file of files) file.close();
    for (const thread of threads) void thread.terminate();
  }
  const { finds } = search.progress;
  await reportFinds(finds, parsed, prepared, findOptions(common), say);
  if (finds.length > 0) return FOUND;
  return isWhole || !wasInterrupted ? 0 : COULD_NOT_RUN;
}

function findOptions(common: ReadonlyMap<string, string>): FindOptions {
  const valueOf = (name: string): string | null => common.get(name) ?? null;
  return { folder: valueOf('out'), confirmedBy: valueOf('confirm'), page: valueOf('html') };
}

/** The options of the program stand as they were given, but for the image; of the search's own only its strategy's. */
function headerOf({ strategy, own, program, script }: SearchWords, { image, seed, units }: PreparedSearch): Header {
  const ownWords = [...own]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => (value === '' ? `--${name}` : `--${name}=${value}`));
  const at = program.lastIndexOf(image);
  const options = [...program.filter((_word, index) => index !== at), ...ownWords];
  return { search: strategy.name, version: 1, image, script: script ?? '', options, seed, units: units.count };
}

function readEarlier(file: string | undefined, header: Header): ResultSet {
  const earlier = new ResultSet();
  if (file === undefined) return earlier;
  earlier.add(readResults(file));
  if (earlier.header !== null && headerLine(earlier.header) !== headerLine(header)) {
    throw invalidArgument(`${file}: the results of another search`);
  }
  return earlier;
}

/** A file that a reporter writes. */
interface OutputFile {
  close(): void;
}

function fileReporters(common: ReadonlyMap<string, string>, files: OutputFile[]): Reporter[] {
  const reporters: Reporter[] = [];
  const junitFile = common.get('junit');
  if (junitFile !== undefined) reporters.push(junit(openOutput(junitFile, files)));
  return reporters;
}

function openOutput(name: string, files: OutputFile[]): (text: string) => void {
  const fd = withContext(`Could not write '${name}'`, () => openSync(name, 'w'));
  files.push({ close: () => closeSync(fd) });
  return (text) => withContext(`Could not write '${name}'`, () => void writeSync(fd, text));
}

function startThreads(name: string, words: readonly string[], jobs: number): Worker[] {
  const program = process.argv[1];
  if (program === undefined) return [];
  return Array.from({ length: jobs }, () => {
    const thread = new Worker(program, { argv: [WORKER_WORD], workerData: { name, words } });
    thread.unref();
    return thread;
  });
}
