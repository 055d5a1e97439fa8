/**
 * A kind of image, as random scripts see it: how one is made, what its format node may be told, what is
 * tried.
 */
import fc from 'fast-check';
import type { Sandbox } from '../helpers/sandbox.ts';
import type { Unit } from './unit.ts';

/** The properties that every image has. */
export interface ImageContent {
  readonly lengthBytes: number;
}

/** The secret of encrypted images. */
export interface Secret {
  /** For `--object`. */
  readonly definition: string;
  /** Options of the format node that name it. */
  readonly options: Readonly<Record<string, string>>;
}

export interface ImageKind<Content extends ImageContent> {
  readonly name: string;
  /** The driver of the format node. */
  readonly driver: string;
  /** The format of `disk.img`, if the driver is a filter over it. */
  readonly fileFormat?: string;
  /** The child that is `disk.img`; `file` if it is left out. */
  readonly child?: string;
  /** Options that the node has in every case. */
  readonly fixed?: (content: Content) => Readonly<Record<string, string>>;
  /** Images are encrypted. */
  readonly secret?: Secret;
  /** Requests of the format node are multiples of this; 1 if it is left out. */
  readonly alignBytes?: number;
  readonly image: fc.Arbitrary<Content>;
  /** Makes `disk.img`, and the files that belong to it, in an empty sandbox. */
  create(sandbox: Sandbox, content: Content): Promise<void>;
  /** The image as one would make it by hand. */
  describe(content: Content): string;
  /** The unit in which space is allocated; 1 if there is none. */
  clusterBytes(content: Content): number;
  /** Options of the format node, without `driver` and `file`. */
  readonly options: fc.Arbitrary<Readonly<Record<string, string>>>;
  /** Switches of the command line beside those that every case may have. */
  readonly switches: fc.Arbitrary<readonly string[]>;
  /** Events that rules listen to. */
  readonly events: readonly string[];
  /** Whether equal scripts may leave the same at different places of the file. */
  hasOpenOrder(content: Content, lines: readonly string[]): boolean;
  readonly script: fc.Arbitrary<readonly Unit[]>;
}

/** An encrypted image in a file as an option string. */
export function optionString(driver: string, { options }: Secret, file: string): string {
  const words = Object.entries(options).map(([key, value]) => `,${key}=${value}`);
  return `driver=${driver}${words.join('')},file.filename=${file}`;
}

/** Leaves out what is undefined. */
export function present(record: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(record).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** A value in so many of a hundred cases, otherwise undefined. */
export function inPercent<T>(percent: number, value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: 100 - percent, arbitrary: fc.constant(undefined) }, { weight: percent, arbitrary: value });
}
