/**
 * The tweaks of XTS (IEEE 1619) over a batch of sectors: in WebAssembly, which has instructions for whole blocks; in
 * JavaScript in a process whose address space is too small for the memory of that.
 */
import { BLOCK_BYTES, BLOCK_WORDS, wordsOf } from './block-cipher.ts';

/** Bytes of the longest batch: it fits into a processor's second cache together with its tweaks. */
export const BATCH_BYTES = 65536;

const SECTOR_BYTES = 512;
const TWEAKS_BYTES = (BATCH_BYTES / SECTOR_BYTES) * BLOCK_BYTES;

/** As far as it is used here; it belongs to the browsers' types, which Node's leave out. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

/** Memory for one batch at a time, and the mixing of tweaks into it. */
export interface TweakMixer {
  readonly batch: Buffer;
  /**
   * XORs the blocks of the first `sectors` sectors with their tweaks: that of the first block of each sector, which is
   * in `first`, times x in GF(2^128) from block to block.
   */
  mix(sectors: number, first: Buffer): void;
  /** XORs the blocks of the first `sectors` sectors with the tweaks that `mix` has left. */
  mixAgain(sectors: number): void;
}

let shared: TweakMixer | null = null;

/** The mixer of this thread, in WebAssembly where there is memory for that. One batch is done before the next. */
export function tweakMixer(): TweakMixer {
  return (shared ??= makeMixer());
}

function makeMixer(): TweakMixer {
  try {
    return mixerInWasm();
  } catch (error) {
    // No memory, or a Node that runs without a compiler.
    if (!(error instanceof RangeError || error instanceof ReferenceError)) throw error;
    return mixerInScript();
  }
}

/** The mixer without WebAssembly. */
export function mixerInScript(): TweakMixer {
  const batch = Buffer.alloc(BATCH_BYTES);
  const words = wordsOf(batch);
  const tweaks = new Int32Array(words.length);
  return {
    batch,
    mix: (sectors, first) => mixWords(words, tweaks, wordsOf(first), sectors),
    mixAgain(sectors) {
      const count = (sectors * SECTOR_BYTES) / Int32Array.BYTES_PER_ELEMENT;
      for (let index = 0; index < count; index++) words[index] = (words[index] as number) ^ (tweaks[index] as number);
    },
  };
}

function mixWords(words: Int32Array, tweaks: Int32Array, first: Int32Array, sectors: number): void {
  let at = 0;
  for (let from = 0; from < sectors * BLOCK_WORDS; from += BLOCK_WORDS) {
    let a = first[from] as number;
    let b = first[from + 1] as number;
    let c = first[from + 2] as number;
    let d = first[from + 3] as number;
    for (let block = 0; block < SECTOR_BYTES / BLOCK_BYTES; block++) {
      tweaks[at] = a;
      words[at] = (words[at] as number) ^ a;
      tweaks[at + 1] = b;
      words[at + 1] = (words[at + 1] as number) ^ b;
      tweaks[at + 2] = c;
      words[at + 2] = (words[at + 2] as number) ^ c;
      tweaks[at + 3] = d;
      words[at + 3] = (words[at + 3] as number) ^ d;
      at += BLOCK_WORDS;
      const carry = (d >> 31) & 0x87;
      d = (d << 1) | (c >>> 31);
      c = (c << 1) | (b >>> 31);
      b = (b << 1) | (a >>> 31);
      a = (a << 1) ^ carry;
    }
  }
}

/** The mixer in WebAssembly. RangeError if there is no memory for it, ReferenceError if there is no WebAssembly. */
export function mixerInWasm(): TweakMixer {
  const module = new WebAssembly.Module(moduleBytes());
  const { memory, mix, mixAgain } = new WebAssembly.Instance(module).exports as {
    readonly memory: { readonly buffer: ArrayBuffer };
    readonly mix: (sectors: number) => void;
    readonly mixAgain: (sectors: number) => void;
  };
  const place = Buffer.from(memory.buffer, FIRST_AT, TWEAKS_BYTES);
  return {
    batch: Buffer.from(memory.buffer, 0, BATCH_BYTES),
    mix(sectors, first) {
      place.set(first);
      mix(sectors);
    },
    mixAgain,
  };
}

/** Where the tweaks of all blocks, and those of the first block of each sector, are in the memory of the module. */
const TWEAKS_AT = BATCH_BYTES;
const FIRST_AT = 2 * BATCH_BYTES;
const MEMORY_PAGES = 3;

/** Instructions of WebAssembly and types, as bytes (its specification, 5.3 and 5.4). */
const I32 = 0x7f;
const V128 = 0x7b;
const VOID = 0x40;
const get = (local: number): number[] => [0x20, local];
const set = (local: number): number[] => [0x21, local];
const tee = (local: number): number[] => [0x22, local];
const constant = (value: number): number[] => [0x41, ...signed(value)];
const line = (...parts: readonly number[][]): number[] => parts.flat();
const ADD = [0x6a];
const SHIFT_LEFT = [0x74];
const IS_BELOW = [0x49];
const LOOP = [0x03, VOID];
const IF = [0x04, VOID];
const END = [0x0b];
const branch = (depth: number): number[] => [0x0c, depth];
const branchIf = (depth: number): number[] => [0x0d, depth];
const load = [0xfd, 0x00, 4, 0];
const loadTweak = [0xfd, 0x00, 4, ...unsigned(TWEAKS_AT)];
const store = (offset: number): number[] => [0xfd, 0x0b, 4, ...unsigned(offset)];
const XOR = [0xfd, 0x51];
const AND = [0xfd, 0x4e];
const SHIFT_WORDS_LEFT = [0xfd, 0xab, 0x01];
const SHIFT_WORDS_RIGHT = [0xfd, 0xac, 0x01];
/** Each word becomes the one before it, the first one the last. */
const ROTATE_WORDS = [0xfd, 0x0d, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
/** The carries of words that are used: 1 into the next word, the polynomial into the first one. */
const CARRIES = [0xfd, 0x0c, 0x87, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0];

/** The parameter and the locals of `mix`. */
const SECTORS = 0;
const AT = 1;
const SECTOR_END = 2;
const DATA_END = 3;
const FIRST = 4;
const TWEAK = 5;
const CARRY = 6;

const times2 = line(
  line(get(TWEAK), constant(1), SHIFT_WORDS_LEFT),
  line(get(TWEAK), constant(31), SHIFT_WORDS_RIGHT, tee(CARRY), get(CARRY), ROTATE_WORDS, CARRIES, AND),
  line(XOR, set(TWEAK)),
);

const mixBlock = line(
  line(get(AT), get(TWEAK), store(TWEAKS_AT)),
  line(get(AT), get(AT), load, get(TWEAK), XOR, store(0)),
  times2,
);

const mixSectors = line(
  line(get(SECTORS), constant(Math.log2(SECTOR_BYTES)), SHIFT_LEFT, set(DATA_END)),
  line(constant(FIRST_AT), set(FIRST)),
  LOOP,
  line(get(AT), get(DATA_END), IS_BELOW, IF),
  line(get(FIRST), load, set(TWEAK)),
  line(get(AT), constant(SECTOR_BYTES), ADD, set(SECTOR_END)),
  LOOP,
  mixBlock,
  line(get(AT), constant(BLOCK_BYTES), ADD, tee(AT)),
  line(get(SECTOR_END), IS_BELOW, branchIf(0)),
  END,
  line(get(FIRST), constant(BLOCK_BYTES), ADD, set(FIRST)),
  branch(1),
  END,
  END,
  END,
);

const mixAgainSectors = line(
  line(get(SECTORS), constant(Math.log2(SECTOR_BYTES)), SHIFT_LEFT, set(DATA_END)),
  LOOP,
  line(get(AT), get(DATA_END), IS_BELOW, IF),
  line(get(AT), get(AT), load, get(AT), loadTweak, XOR, store(0)),
  line(get(AT), constant(BLOCK_BYTES), ADD, set(AT)),
  branch(1),
  END,
  END,
  END,
);

/** The module: a memory, and the functions `mix` and `mixAgain` of a number of sectors. */
function moduleBytes(): Uint8Array<ArrayBuffer> {
  const functions = [mixSectors, mixAgainSectors].flatMap((code) => {
    const body = [2, 4, I32, 2, V128, ...code];
    return [...unsigned(body.length), ...body];
  });
  return Uint8Array.from(
    [
      [0, ...Buffer.from('asm'), 1, 0, 0, 0],
      section(1, [1, 0x60, 1, I32, 0]),
      section(3, [2, 0, 0]),
      section(5, [1, 1, MEMORY_PAGES, MEMORY_PAGES]),
      section(7, [3, ...name('memory'), 2, 0, ...name('mix'), 0, 0, ...name('mixAgain'), 0, 1]),
      section(10, [2, ...functions]),
    ].flat(),
  );
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...unsigned(content.length), ...content];
}

function name(text: string): number[] {
  return [text.length, ...Buffer.from(text)];
}

/** LEB128, as WebAssembly has numbers. */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): number[] {
  return value >= -0x40 && value < 0x40 ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}
