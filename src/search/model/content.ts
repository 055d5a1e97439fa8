/** Contents that a range of a disk may hold, and whether data is one of them. */
import { isAllZero, isFilledWith } from '../../util/pattern.ts';

/** The content of a disk before the first request of a scenario, as far as it is known. */
export interface InitialContent {
  /**
   * Whether `data` (null: zeroes) is what the disk held in `bytes` bytes from `offset`; true also where that is not
   * known.
   */
  holds(data: Buffer | null, offset: number, bytes: number): boolean;
}

/** One content of a range. `data` begins at the byte `offset` of the disk. */
export type Content =
  | { readonly kind: 'fill'; readonly value: number }
  | { readonly kind: 'data'; readonly data: Buffer; readonly offset: number }
  | { readonly kind: 'initial'; readonly initial: InitialContent }
  /** Nothing is known of it. */
  | { readonly kind: 'anything' };

/** A content for data that is written at `offset`: bytes that are all the same need no copy. */
export function contentOf(data: Buffer, offset: number): Content {
  const [value = 0] = data;
  if (isFilledWith(data, value)) return { kind: 'fill', value };
  return { kind: 'data', data: Buffer.from(data), offset };
}

/** Whether the `bytes` bytes read at `offset` are this content; `data` is null where they are zeroes. */
export function isContent(content: Content, data: Buffer | null, offset: number, bytes: number): boolean {
  switch (content.kind) {
    case 'fill':
      return data === null ? content.value === 0 : isFilledWith(data, content.value);
    case 'data': {
      const from = offset - content.offset;
      const written = content.data.subarray(from, from + bytes);
      return data === null ? isAllZero(written) : data.equals(written);
    }
    case 'initial':
      return content.initial.holds(data, offset, bytes);
    case 'anything':
      return true;
  }
}

/** A byte as it is written in commands and messages: "0x0a". */
export function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, '0')}`;
}

/** A content in a few words. */
export function describeContent(content: Content): string {
  switch (content.kind) {
    case 'fill':
      return hex(content.value);
    case 'data':
      return 'the data of a write';
    case 'initial':
      return 'what was there before';
    case 'anything':
      return 'anything';
  }
}
