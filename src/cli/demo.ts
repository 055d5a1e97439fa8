/** The image that `npm start` opens: new, sparse, below blkdebug, and gone in the end. */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Options } from '../block/options.ts';

const DEMO_BYTES = 64 << 20;

export interface DemoImage {
  /** A name that opens it read-write with a blkdebug node above the file. */
  readonly filename: string;
  readonly options: Options;
}

/** Makes the image. It is deleted when the program exits. */
export function makeDemoImage(): DemoImage {
  const folder = mkdtempSync(path.join(tmpdir(), 'blkscope-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'demo.img');
  writeFileSync(file, '');
  truncateSync(file, DEMO_BYTES);
  return { filename: `blkdebug::${file}`, options: new Options([['driver', 'raw']]) };
}

/** What to try first. */
export const demoGreeting = `A new raw image of 64 MiB is open, with blkdebug between the driver and the file.
Stop a write and let it go on:   break pwritev A   then   aio_write -P 0xab 0 64k   then   resume A
"help" lists the commands, "help COMMAND" explains one, Tab completes, Ctrl-D leaves.
`;
