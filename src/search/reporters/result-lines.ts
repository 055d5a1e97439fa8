/** The reporter that writes results as lines of JSON. */
import type { Reporter } from '../engine.ts';
import { headerLine } from '../results.ts';

/** Writes each line with its newline to `write`. */
export function resultLines(write: (text: string) => void): Reporter {
  return {
    begin: (header) => write(`${headerLine(header)}\n`),
    result: (_result, line) => write(`${line}\n`),
  };
}
