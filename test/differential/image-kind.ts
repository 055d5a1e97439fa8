/** The kinds of image that random scripts are tried on: how one is made and what options its format node may have. */
import fc from 'fast-check';
import type { Sandbox } from '../helpers/sandbox.ts';

/** A run of one byte value that the image has from the start; what is in no run is a hole. */
export interface Run {
  readonly offset: number;
  readonly bytes: number;
  readonly value: number;
}

export interface ImageContent {
  readonly lengthBytes: number;
  readonly runs: readonly Run[];
}

export interface ImageKind {
  readonly name: string;
  /** The driver of the format node. */
  readonly driver: string;
  /** Makes the file `name` in the sandbox. */
  create(sandbox: Sandbox, name: string, content: ImageContent): void;
  /** Options of the format node, without `driver` and `file`. */
  readonly options: fc.Arbitrary<Readonly<Record<string, string>>>;
}

function optional<T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(value, { nil: undefined, freq: 2 });
}

/** Leaves out what is undefined. */
export function present(record: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(record).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

const detectZeroes = fc.constantFrom('on', 'off', 'unmap');

export const rawKind: ImageKind = {
  name: 'raw',
  driver: 'raw',
  create(sandbox, name, { lengthBytes, runs }) {
    sandbox.image(name, lengthBytes);
    for (const { offset, bytes, value } of runs) {
      const length = Math.min(bytes, lengthBytes - offset);
      if (length > 0) sandbox.fill(name, offset, length, value);
    }
  },
  options: fc
    .record({
      offset: fc.oneof(
        { weight: 5, arbitrary: fc.constant(undefined) },
        fc.constantFrom('512', '4096', '65536', '100'),
      ),
      size: fc.oneof(
        { weight: 5, arbitrary: fc.constant(undefined) },
        fc.constantFrom('65536', '4096', '131072', '512'),
      ),
      'detect-zeroes': optional(detectZeroes),
    })
    .map(({ offset, size, 'detect-zeroes': zeroes }) => present({ offset, size, 'detect-zeroes': zeroes })),
};
