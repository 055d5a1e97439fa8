/** The parts of `src/` that the runs of the built program reached. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
// @ts-expect-error -- it has no declarations
import { mergeProcessCovs } from '@bcoe/v8-coverage';
import convert from 'ast-v8-to-istanbul';
import { parseAst } from 'rolldown/parseAst';

/** @typedef {{ url: string, functions: import('node:inspector').Profiler.FunctionCoverage[] }} ScriptCounts */

/**
 * Adds up the counts that Node left in `folder` (NODE_V8_COVERAGE), a file for each process, for the scripts in `dist`.
 * The answer has the counts by the source file; several if more than one script has a part of it.
 * @param {string} folder @param {string} dist
 */
export async function programCoverage(folder, dist) {
  /** @type {Map<string, import('./merge.js').FileCounts[]>} */
  const bySource = new Map();
  for (const { url, functions } of countsOf(folder, dist)) {
    const code = readFileSync(url, 'utf8');
    const sourceMap = `${url}.map`;
    if (!existsSync(sourceMap)) continue;
    const counts = await convert({
      code,
      wrapperLength: 0,
      ast: parseAst(code),
      sourceMap: JSON.parse(readFileSync(sourceMap, 'utf8')),
      coverage: { functions, url: `file://${url}` },
    });
    for (const [name, file] of Object.entries(counts)) bySource.set(name, [...(bySource.get(name) ?? []), file]);
  }
  return bySource;
}

/** @param {string} folder @param {string} dist @returns {ScriptCounts[]} */
function countsOf(folder, dist) {
  const processes = [];
  for (const name of readdirSync(folder)) {
    /** @type {{ result: ScriptCounts[] }} */
    const { result } = JSON.parse(readFileSync(path.join(folder, name), 'utf8'));
    const ours = result.map((script) => ({ ...script, url: pathOf(script.url) }));
    processes.push({ result: ours.filter(({ url }) => path.dirname(url) === dist && url.endsWith('.js')) });
  }
  return mergeProcessCovs(processes).result;
}

/** @param {string} url */
function pathOf(url) {
  return url.startsWith('file:') ? fileURLToPath(url) : url;
}
