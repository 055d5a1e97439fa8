/** A thread of a search: makes the same search ready as the main thread, and runs the units that it is told. */
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../util/assert.ts';
import { serveUnits } from '../../search/workers.ts';
import { prepareSearch } from './prepare-search.ts';
import { parseSearchWords, strategies } from './search-words.ts';

/** Serves until the main thread ends it. */
export async function runSearchWorker(): Promise<void> {
  assert(parentPort !== null, 'this is a thread of a search');
  const { name, words } = workerData as { readonly name: string; readonly words: readonly string[] };
  const strategy = strategies.find((known) => known.name === name);
  assert(strategy !== undefined, 'the main thread has found the search');
  const { units } = await prepareSearch(parseSearchWords(strategy, words), () => {});
  serveUnits(units, parentPort);
}
