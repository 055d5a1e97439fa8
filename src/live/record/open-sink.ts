/** The three forms in which a run is kept. */
import path from 'node:path';
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';
import { NdjsonSink } from './ndjson-sink.ts';
import type { RunSink } from './sink.ts';

/** Lines of JSON are what most ask for; the others are loaded on need. */
const makers: Readonly<Record<string, (path: string) => RunSink | Promise<RunSink>>> = {
  '.ndjson': (file) => new NdjsonSink(file),
  '.json': async (file) => new (await import('./chrome-sink.ts')).ChromeSink(file),
  '.html': async (file) => new (await import('./page-sink.ts')).PageSink(file),
};

/** Opens a file for a run; the end of its name says the form. EINVAL for other names, the host's errno if it cannot be made. */
export async function openRunSink(file: string): Promise<RunSink> {
  const make = makers[path.extname(file).toLowerCase()];
  if (make === undefined) {
    throw new BlockError(Errno.EINVAL, `'${file}': a run is kept as .ndjson, .json (for Perfetto) or .html`);
  }
  return make(file);
}
