/** A random case: an image, the options that it is opened with, and a script; and how both programs are run on it. */
import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { configFile, debugOptions, ruleOptions, type DebugOptions } from './debug-options.ts';
import { script, type Context, type Unit } from './commands.ts';
import type { ImageContent, ImageKind } from './image-kind.ts';

export interface RandomCase {
  readonly image: ImageContent;
  /** Options of the format node. */
  readonly format: Readonly<Record<string, string>>;
  /** blkdebug between the format and the file; null: none. */
  readonly debug: DebugOptions | null;
  readonly cache: string;
  readonly discard: string;
  readonly readOnly: boolean;
  /** Buffers that are not aligned, with O_DIRECT or without. */
  readonly misalign: boolean;
  /** The script comes by standard input, not by `-c`. */
  readonly piped: boolean;
  /** In memory where there is such a file system; otherwise, and for O_DIRECT, on the disk. */
  readonly inMemory: boolean;
  /** Nothing that disturbs is in the script, so that the order of requests can be forced. */
  readonly steady: boolean;
  readonly script: readonly Unit[];
}

export function randomCase(kind: ImageKind): fc.Arbitrary<RandomCase> {
  const blocks = fc.integer({ min: 1, max: 128 });
  return fc.record({
    image: fc.record({
      lengthBytes: fc.oneof(
        { weight: 12, arbitrary: fc.integer({ min: 48, max: 160 }).map((n) => n * 4096) },
        { weight: 3, arbitrary: fc.nat(1000).map((n) => n * 512) },
        { weight: 1, arbitrary: fc.nat(500_000) },
      ),
      runs: fc.array(
        fc.record({ offset: fc.nat(100).map((n) => n * 4096), bytes: blocks.map((n) => n * 1024), value: fc.nat(255) }),
        { maxLength: 5 },
      ),
    }),
    format: fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: kind.options }),
    debug: fc.option(debugOptions, { freq: 4 }),
    cache: fc.constantFrom('writeback', 'writeback', 'writeback', 'writethrough', 'unsafe', 'none', 'directsync'),
    discard: fc.constantFrom('unmap', 'unmap', 'ignore'),
    readOnly: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
    misalign: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
    piped: fc.boolean(),
    inMemory: fc.boolean(),
    steady: fc.integer({ min: 0, max: 2 }).map((n) => n > 0),
    script,
  });
}

function flatten(options: Readonly<Record<string, string>>, prefix: string): string[] {
  return Object.entries(options).map(([key, value]) => `${prefix}${key}=${value}`);
}

/** The option string of the whole graph. */
function imageOptions(kind: ImageKind, { format, debug, discard }: RandomCase): string {
  // Without discard=unmap, detect-zeroes=unmap is refused; once in a while that is worth seeing too.
  const top = flatten(format, '');
  if (format['detect-zeroes'] === 'unmap' && discard === 'unmap') top.push('discard=unmap');
  const file =
    debug === null
      ? ['file.driver=file', 'file.filename=disk.img']
      : ['file.driver=blkdebug', 'file.image.driver=file', 'file.image.filename=disk.img'];
  if (debug !== null) {
    file.push(...flatten(debug.limits, 'file.'));
    if (debug.asFile) file.push('file.config=blkdebug.conf');
    else file.push(...flatten(ruleOptions(debug.rules), 'file.'));
  }
  return [`driver=${kind.driver}`, ...top, ...file].join(',');
}

function needsDirectIo({ cache }: RandomCase): boolean {
  return cache === 'none' || cache === 'directsync';
}

function contextOf(kind: ImageKind, one: RandomCase): Context {
  const limit = (name: string) => Number(one.debug?.limits[name] ?? 0);
  // A raw offset moves requests off the alignment below it.
  const shifted = Number(one.format['offset'] ?? 0);
  const directAlign = needsDirectIo(one) ? 4096 : 1;
  const alignBytes = Math.max(limit('align'), directAlign, 1);
  return {
    alignBytes,
    transferMaxBytes: limit('max-transfer') > 0 ? limit('max-transfer') : 1 << 20,
    lengthBytes: one.image.lengthBytes,
    canForceOrder:
      one.debug !== null &&
      !one.readOnly &&
      ['writeback', 'unsafe', 'none'].includes(one.cache) &&
      shifted % alignBytes === 0 &&
      one.format['size'] === undefined &&
      one.format['detect-zeroes'] === undefined &&
      // The whole range of forced requests must lie within the image.
      one.steady &&
      one.image.lengthBytes >= 32 * Math.max(alignBytes, 512) + shifted,
    openArguments: `-t ${one.cache} -d ${one.discard} ${imageOptions(kind, one)}`,
  };
}

/** Enough of a context to see which commands a unit has. */
const probe: Context = { alignBytes: 1, transferMaxBytes: 512, lengthBytes: 1, canForceOrder: true, openArguments: '' };

/** The lines of the script. */
export function scriptLines(kind: ImageKind, one: RandomCase): string[] {
  const context = contextOf(kind, one);
  return one.script.flatMap((unit) => (one.steady && unit.disturbs ? [] : unit.lines(context)));
}

export function commandLine(kind: ImageKind, one: RandomCase): string[] {
  const args = [...(one.readOnly ? ['-r'] : []), ...(one.misalign ? ['-m'] : [])];
  args.push('-t', one.cache, '-d', one.discard, '--image-opts', imageOptions(kind, one));
  if (!one.piped) for (const line of scriptLines(kind, one)) args.push('-c', line);
  return args;
}

export function standardInput(kind: ImageKind, one: RandomCase): string {
  return one.piped
    ? scriptLines(kind, one)
        .map((line) => `${line}\n`)
        .join('')
    : '';
}

/** Config files and sources of data, by name. */
export function files(one: RandomCase): Record<string, string> {
  const out: Record<string, string> = {};
  if (one.debug?.asFile === true) out['blkdebug.conf'] = configFile(one.debug.rules);
  if (one.script.some((unit) => unit.lines(probe).some((line) => line.includes('data.bin'))))
    out['data.bin'] = 'The quick brown fox';
  return out;
}

const memoryFolder = '/dev/shm';

/** The folder that the case's sandbox is made in; undefined: the usual one for temporary files. */
export function parentFolder(one: RandomCase): string | undefined {
  return one.inMemory && !needsDirectIo(one) && existsSync(memoryFolder) ? memoryFolder : undefined;
}
