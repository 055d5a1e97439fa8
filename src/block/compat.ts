/** The versions of QEMU whose answers, bytes and events can be given, and the changes between them. */
import { invalidArgument } from './error.ts';

/** Each change that is told apart, with the release of QEMU that brought it. */
const changes = {
  /** Reads and writes take `-r`, which registers their buffer with the host. */
  registeredBuffers: [8, 0],
  /** The commands `zone_…`. */
  zones: [8, 1],
  /** Sizes: no suffix behind hexadecimal digits, none needed behind ".0"; ".5k"; negative ones are out of range. */
  exactSizes: [8, 1],
  /** The option discard-no-unref of qcow2: discarded clusters stay with their entries. */
  discardNoUnref: [8, 1],
  /** Copy on read copies subclusters, and not whole clusters. */
  copiesSubclusters: [8, 2],
  /** A LUKS volume may have its header in another file, and `info` says so; it may be encrypted with SM4. */
  detachedHeaders: [9, 0],
  /** A zero write frees space only where the node was opened with discard=unmap, also one of the image's user. */
  unmapNeedsDiscard: [9, 1],
  /** copy-before-write keeps time-outs of any length, and cuts discards of its snapshot to whole clusters. */
  wholeCopies: [9, 1],
  /** The option min-cluster-size of copy-before-write. */
  minClusterSize: [9, 2],
  /** A LUKS header may name the hash SM3. */
  sm3: [9, 2],
  /** Secrets and TLS credentials have no property "loaded". */
  neverLoaded: [9, 2],
  /** `file` puts a write on stable storage itself, so that a flush of the nodes above it is not needed. */
  fuaInFile: [10, 0],
  /** The look for zeroes around a new cluster asks the host for holes, piece by piece. */
  looksForZeroes: [10, 1],
  /** A wrong size of a new image is quoted. */
  quotesImageSize: [10, 2],
  /** A file of rules that cannot be opened is "Could not open 'FILE'". */
  namesRuleFile: [10, 2],
} as const;

/** A change between two versions of QEMU. */
export type Change = keyof typeof changes;

const versions = { '7.2': [7, 2], '10.2': [10, 2] } as const;

/** A version of QEMU that can be given. */
export type Version = keyof typeof versions;

const versionNames = Object.keys(versions) as readonly Version[];

/** The behaviour of one version of QEMU. */
export class Compat {
  readonly version: Version;

  constructor(version: Version) {
    this.version = version;
  }

  /** Whether the version has a change. */
  has(change: Change): boolean {
    const [major, minor] = versions[this.version];
    const [since, sinceMinor] = changes[change];
    return since < major || (since === major && sinceMinor <= minor);
  }
}

/** The algorithms of encryption that a version has beyond those of 7.2. */
export function laterAlgorithms(compat: Compat): { readonly sm3: boolean; readonly sm4: boolean } {
  return { sm3: compat.has('sm3'), sm4: compat.has('detachedHeaders') };
}

/** The behaviour of the version that a name stands for. EINVAL for one that is not known. */
export function compatOf(name: string): Compat {
  const version = versionNames.find((known) => known === name);
  if (version === undefined) {
    throw invalidArgument(`There is no behaviour of QEMU ${name} here; the versions are ${versionNames.join(' and ')}`);
  }
  return version === defaultCompat.version ? defaultCompat : new Compat(version);
}

/** Whether only a version later than the default has something; `since` is left out for what every version has. */
export function isOnlyLater({ since }: { readonly since?: Change | undefined }): boolean {
  return since !== undefined && !defaultCompat.has(since);
}

/** The measure where nothing else is asked for. */
export const defaultCompat = new Compat('7.2');

/** Of all versions; documents have the commands and options of each. */
export const newestCompat = new Compat('10.2');
