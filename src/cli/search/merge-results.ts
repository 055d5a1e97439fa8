/** `blkscope merge`: the union of results of one search, in the order of the cases. */
import { invalidArgument } from '../../block/error.ts';
import { headerLine, ResultSet } from '../../search/results.ts';
import type { Stdio } from '../stdio.ts';
import { readResults } from './case-files.ts';
import { reasonOf } from './prepare-search.ts';

const COULD_NOT_RUN = 2;

/** Writes the union to standard output; what is missing is said on standard error. 0, or 2 if it cannot be done. */
export function mergeResults(files: readonly string[], stdio: Stdio): number {
  const results = new ResultSet();
  try {
    for (const file of files) {
      const text = readResults(file);
      withPlace(file, () => results.add(text));
    }
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === null) throw error;
    stdio.stderr(`blkscope merge: ${reason}\n`);
    return COULD_NOT_RUN;
  }
  const { header } = results;
  if (header === null) return 0;
  stdio.stdout(`${headerLine(header)}\n`);
  for (const unit of results.units) for (const line of results.linesOf(unit) ?? []) stdio.stdout(`${line}\n`);
  const missing = header.units - results.size;
  if (missing > 0) stdio.stderr(`blkscope merge: ${missing} of ${header.units} units are missing\n`);
  return 0;
}

function withPlace(file: string, body: () => void): void {
  try {
    body();
  } catch (error) {
    const reason = reasonOf(error);
    throw reason === null ? error : invalidArgument(`${file}: ${reason}`);
  }
}
