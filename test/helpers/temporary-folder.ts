/** The folder for the temporary files of a whole run of tests, and of every program they start: gone when it ends. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Called by vitest before the first test. @returns what it calls after the last one */
export default function setup(): () => void {
  // A test that ends its program by SIGKILL, or is ended itself, leaves its files here.
  const folder = mkdtempSync(path.join(tmpdir(), 'blk-'));
  process.env['TMPDIR'] = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
