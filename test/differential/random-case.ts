/** A random case: an image, the options that it is opened with, and a script; and how both programs are run on it. */
import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { configFile, debugOptions, ruleOptions, type DebugOptions } from './debug-options.ts';
import type { ImageContent, ImageKind } from './image-kind.ts';
import type { Context, Unit } from './unit.ts';

export interface RandomCase<Content extends ImageContent> {
  readonly image: Content;
  /** Options of the format node. */
  readonly format: Readonly<Record<string, string>>;
  /** blkdebug between the format and the file; null: none. */
  readonly debug: DebugOptions | null;
  readonly cache: string;
  readonly discard: string;
  readonly readOnly: boolean;
  readonly switches: readonly string[];
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

export function randomCase<Content extends ImageContent>(kind: ImageKind<Content>): fc.Arbitrary<RandomCase<Content>> {
  return fc.record({
    image: kind.image,
    format: fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: kind.options }),
    debug: fc.option(debugOptions(kind.events), { freq: 4 }),
    cache: fc.constantFrom('writeback', 'writeback', 'writeback', 'writethrough', 'unsafe', 'none', 'directsync'),
    discard: fc.constantFrom('unmap', 'unmap', 'ignore'),
    readOnly: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
    switches: kind.switches,
    misalign: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
    piped: fc.boolean(),
    inMemory: fc.boolean(),
    steady: fc.integer({ min: 0, max: 2 }).map((n) => n > 0),
    script: kind.script,
  });
}

function flatten(options: Readonly<Record<string, string>>, prefix: string): string[] {
  return Object.entries(options).map(([key, value]) => `${prefix}${key}=${value}`);
}

/** The option string of the whole graph. */
function imageOptions<C extends ImageContent>(kind: ImageKind<C>, one: RandomCase<C>): string {
  const { format, debug, discard } = one;
  // Without discard=unmap, detect-zeroes=unmap is refused; once in a while that is worth seeing too.
  const top = flatten({ ...kind.secret?.options, ...kind.fixed?.(one.image), ...format }, '');
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
  const child = file.map((option) => option.replace(/^file/, kind.child ?? 'file'));
  return [`driver=${kind.driver}`, ...top, ...child].join(',');
}

function needsDirectIo({ cache }: RandomCase<ImageContent>): boolean {
  return cache === 'none' || cache === 'directsync';
}

function contextOf<C extends ImageContent>(kind: ImageKind<C>, one: RandomCase<C>): Context {
  const limit = (name: string) => Number(one.debug?.limits[name] ?? 0);
  // A raw offset moves requests off the alignment below it.
  const shifted = Number(one.format['offset'] ?? 0);
  const directAlign = needsDirectIo(one) ? 4096 : 1;
  const alignBytes = Math.max(limit('align'), directAlign, kind.alignBytes ?? 1);
  return {
    alignBytes,
    transferMaxBytes: limit('max-transfer') > 0 ? limit('max-transfer') : 1 << 20,
    lengthBytes: one.image.lengthBytes,
    clusterBytes: kind.clusterBytes(one.image),
    canForceOrder:
      one.debug !== null &&
      !one.readOnly &&
      ['writeback', 'unsafe', 'none'].includes(one.cache) &&
      shifted % alignBytes === 0 &&
      one.format['size'] === undefined &&
      one.format['detect-zeroes'] === undefined &&
      // Neither another image on top nor reads that write.
      one.switches.length === 0 &&
      // The whole range of forced requests must lie within the image.
      one.steady &&
      one.image.lengthBytes >= 32 * Math.max(alignBytes, 512) + shifted,
    hasRules: (one.debug?.rules.length ?? 0) > 0,
    canReopen: !one.switches.includes('-s'),
    openArguments: `-t ${one.cache} -d ${one.discard} ${imageOptions(kind, one)}`,
  };
}

/** Enough of a context to see which commands a unit has. */
const probe: Context = {
  alignBytes: 1,
  transferMaxBytes: 512,
  lengthBytes: 1,
  clusterBytes: 1,
  canForceOrder: true,
  hasRules: false,
  canReopen: true,
  openArguments: '',
};

/** The lines of the script. */
export function scriptLines<C extends ImageContent>(kind: ImageKind<C>, one: RandomCase<C>): string[] {
  const context = contextOf(kind, one);
  return one.script.flatMap((unit) => (one.steady && unit.disturbs ? [] : unit.lines(context)));
}

export function commandLine<C extends ImageContent>(kind: ImageKind<C>, one: RandomCase<C>): string[] {
  const args = [...(one.readOnly ? ['-r'] : []), ...(one.misalign ? ['-m'] : []), ...one.switches];
  if (kind.secret !== undefined) args.push('--object', kind.secret.definition);
  args.push('-t', one.cache, '-d', one.discard, '--image-opts', imageOptions(kind, one));
  if (!one.piped) for (const line of scriptLines(kind, one)) args.push('-c', line);
  return args;
}

export function standardInput<C extends ImageContent>(kind: ImageKind<C>, one: RandomCase<C>): string {
  return one.piped
    ? scriptLines(kind, one)
        .map((line) => `${line}\n`)
        .join('')
    : '';
}

/** Config files and sources of data, by name. */
export function files(one: RandomCase<ImageContent>): Record<string, string> {
  const out: Record<string, string> = {};
  if (one.debug?.asFile === true) out['blkdebug.conf'] = configFile(one.debug.rules);
  if (one.script.some((unit) => unit.lines(probe).some((line) => line.includes('data.bin'))))
    out['data.bin'] = 'The quick brown fox';
  return out;
}

const memoryFolder = '/dev/shm';

/** The folder that the case's sandbox is made in; undefined: the usual one for temporary files. */
export function parentFolder(one: RandomCase<ImageContent>): string | undefined {
  return one.inMemory && !needsDirectIo(one) && existsSync(memoryFolder) ? memoryFolder : undefined;
}
