/** The image of `--demo`, which `npm start` opens: new, sparse, below blkdebug, deleted at the exit of the program. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { wrapLines, wrapParagraphs } from '../shell/output/wrap.ts';
import { Options } from '../block/options/options.ts';
import { emptyImage } from '../drivers/qcow2/temporary-overlay.ts';

const DEMO_BYTES = 64 << 20;

/** How the image is opened. */
export interface DemoImage {
  /** A name that opens it read-write with a blkdebug node between the format and the file. */
  readonly filename: string;
  readonly options: Options;
}

/** Makes the image. It is deleted when the program exits. */
export function makeDemoImage(): DemoImage {
  const folder = mkdtempSync(path.join(tmpdir(), 'blkscope-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'demo.qcow2');
  writeFileSync(file, emptyImage(DEMO_BYTES));
  return { filename: `blkdebug::${file}`, options: new Options([['driver', 'qcow2']]) };
}

/** A greeting with first steps. */
const greeting = [
  'A new qcow2 image of 64 MiB, with blkdebug between the format and the file.',
  'Stop a write and let it go on, a line each:',
  '  break cluster_alloc A     aio_write -P 0xab 0 64k     resume A',
  '"help" lists the commands, "help COMMAND" explains one, Tab completes.',
];

/** The greeting for a terminal of this width. */
export function demoGreeting(columns: number | undefined): string {
  return `${wrapLines(wrapParagraphs(greeting, columns).join('\n'), columns)}\n`;
}
