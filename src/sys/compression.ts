/**
 * zlib and zstd as the host has them, for compressed clusters of images.
 *
 * Node has a zlib of its own, which packs the same data into other bytes; with the host's, an image comes out as QEMU
 * on this host writes it. zstd came to Node with version 22.15. Loaded on first need; where a library cannot be loaded,
 * Node's own is used, if it has one.
 */
import type { ZlibOptions } from 'node:zlib';
import { loadKoffi } from './koffi.ts';
import { libc } from './libc.ts';
import { loadNow } from '../util/load-now.ts';

/** One way of packing. */
export interface Codec {
  /** The packed data, or null if it would be longer than `maxBytes`. */
  compress(data: Buffer, maxBytes: number): Buffer | null;
  /** The first `bytes` of what the data unpack to, or null if there are fewer or they are damaged. */
  decompress(data: Buffer, bytes: number): Buffer | null;
}

/** A codec of streams that say where they end. */
export interface StreamCodec extends Codec {
  /** All that a stream unpacks to; null if that is more than `maxBytes`, or the stream is damaged or cut. */
  decompressAll(data: Buffer, maxBytes: number): Buffer | null;
}

/** How deflate is to work; a window in bits below 0 stands for raw data, without a head and a checksum. */
interface DeflateSettings {
  readonly windowBits: number;
  readonly memoryLevel: number;
}

/** Raw deflate with a window of 4 KiB. */
const RAW: DeflateSettings = { windowBits: -12, memoryLevel: 9 };
/** zlib's own defaults. */
const ZLIB: DeflateSettings = { windowBits: 15, memoryLevel: 8 };
const Z_FINISH = 4;
const Z_OK = 0;
const Z_STREAM_END = 1;
const Z_BUF_ERROR = -5;
const Z_DEFLATED = 8;
const Z_STREAM_BYTES = 112;
/** zlib looks at the first character only. */
const ZLIB_VERSION = '1';

let deflateCodec: StreamCodec | undefined;
let zlibCodec: StreamCodec | undefined;
let zstdCodec: Codec | null | undefined;

/** Raw deflate streams. */
export function deflate(): Codec {
  deflateCodec ??= deflateBy(RAW);
  return deflateCodec;
}

/** Streams of zlib, with its head and checksum. */
export function zlib(): StreamCodec {
  zlibCodec ??= deflateBy(ZLIB);
  return zlibCodec;
}

function deflateBy(settings: DeflateSettings): StreamCodec {
  const own = nodeZlib(settings);
  return hostZlib(settings, own) ?? own;
}

/** zstd streams; null without a library that has it. */
export function zstd(): Codec | null {
  if (zstdCodec === undefined) zstdCodec = hostZstd() ?? nodeZstd();
  return zstdCodec;
}

/** Pointers are passed as numbers: what they point to is written and read here. */
type Call = (...args: unknown[]) => number;

/** The functions of a host library by their C declarations; null if it cannot be loaded. */
function loadFunctions<Name extends string>(
  file: string,
  declarations: Readonly<Record<Name, string>>,
): Record<Name, Call> | null {
  // Where the C library cannot be called, nothing can.
  if (libc() === null) return null;
  try {
    const koffi = loadKoffi();
    // Node has symbols of the same names; the library must not mistake them for its own.
    const library = koffi.load(file, { deep: true });
    const functions = {} as Record<Name, Call>;
    for (const name in declarations) functions[name] = library.func(declarations[name]) as Call;
    return functions;
  } catch {
    return null;
  }
}

function addressOf(data: Buffer): bigint {
  return libc()?.address(data) ?? 0n;
}

/** `own` takes over where a stream cannot be set up. */
function hostZlib({ windowBits, memoryLevel }: DeflateSettings, own: StreamCodec): StreamCodec | null {
  const z = loadFunctions('libz.so.1', {
    deflateInit:
      'int deflateInit2_(uint64 stream, int level, int method, int bits, int memory, int strategy, const char *version, int size)',
    deflate: 'int deflate(uint64 stream, int flush)',
    deflateEnd: 'int deflateEnd(uint64 stream)',
    inflateInit: 'int inflateInit2_(uint64 stream, int bits, const char *version, int size)',
    inflate: 'int inflate(uint64 stream, int flush)',
    inflateEnd: 'int inflateEnd(uint64 stream)',
  });
  if (z === null) return null;
  /** The status that inflate ends with, and the bytes of `output` that it has not filled; null without a stream. */
  const inflateInto = (output: Buffer, data: Buffer): { status: number; left: number } | null => {
    const stream = zStream(data, output);
    if (z.inflateInit(addressOf(stream), windowBits, ZLIB_VERSION, Z_STREAM_BYTES) !== Z_OK) return null;
    const status = z.inflate(addressOf(stream), Z_FINISH);
    const left = stream.readUInt32LE(32);
    z.inflateEnd(addressOf(stream));
    return { status, left };
  };
  return {
    compress(data, maxBytes) {
      const output = Buffer.allocUnsafeSlow(maxBytes);
      const stream = zStream(data, output);
      const address = addressOf(stream);
      if (z.deflateInit(address, -1, Z_DEFLATED, windowBits, memoryLevel, 0, ZLIB_VERSION, Z_STREAM_BYTES) !== Z_OK) {
        return own.compress(data, maxBytes);
      }
      const ended = z.deflate(address, Z_FINISH) === Z_STREAM_END;
      const bytes = maxBytes - stream.readUInt32LE(32);
      z.deflateEnd(address);
      return ended ? output.subarray(0, bytes) : null;
    },
    decompress(data, bytes) {
      const output = Buffer.allocUnsafeSlow(bytes);
      const end = inflateInto(output, data);
      if (end === null) return own.decompress(data, bytes);
      return end.left === 0 && (end.status === Z_STREAM_END || end.status === Z_BUF_ERROR) ? output : null;
    },
    decompressAll(data, maxBytes) {
      const output = Buffer.allocUnsafeSlow(maxBytes);
      const end = inflateInto(output, data);
      if (end === null) return own.decompressAll(data, maxBytes);
      return end.status === Z_STREAM_END ? output.subarray(0, maxBytes - end.left) : null;
    },
  };
}

/** zlib's `z_stream` with input and output set. */
function zStream(input: Buffer, output: Buffer): Buffer {
  const stream = Buffer.alloc(Z_STREAM_BYTES);
  stream.writeBigUInt64LE(addressOf(input), 0);
  stream.writeUInt32LE(input.length, 8);
  stream.writeBigUInt64LE(addressOf(output), 24);
  stream.writeUInt32LE(output.length, 32);
  return stream;
}

/** Loaded on first need, too: few runs see a compressed cluster. */
function ownZlib(): typeof import('node:zlib') {
  return loadNow('node:zlib');
}

function nodeZlib({ windowBits: bits, memoryLevel: memLevel }: DeflateSettings): StreamCodec {
  const isRaw = bits < 0;
  const windowBits = Math.abs(bits);
  const inflate = (data: Buffer, options: ZlibOptions): Buffer | null => {
    try {
      const { inflateRawSync, inflateSync } = ownZlib();
      return (isRaw ? inflateRawSync : inflateSync)(data, { windowBits, ...options });
    } catch {
      return null;
    }
  };
  return {
    compress(data, maxBytes) {
      const { deflateRawSync, deflateSync } = ownZlib();
      const packed = (isRaw ? deflateRawSync : deflateSync)(data, { windowBits, memLevel });
      return packed.length <= maxBytes ? packed : null;
    },
    decompress(data, bytes) {
      // The data may go on behind the stream's end, and the stream may be cut.
      const unpacked = inflate(data, { finishFlush: ownZlib().constants.Z_SYNC_FLUSH, maxOutputLength: bytes });
      return unpacked?.length === bytes ? unpacked : null;
    },
    decompressAll: (data, maxBytes) => inflate(data, { maxOutputLength: maxBytes }),
  };
}

const ZSTD_END = 2;

function hostZstd(): Codec | null {
  const z = loadFunctions('libzstd.so.1', {
    createCompressor: 'uint64 ZSTD_createCCtx()',
    freeCompressor: 'size_t ZSTD_freeCCtx(uint64 context)',
    compress: 'size_t ZSTD_compressStream2(uint64 context, uint64 output, uint64 input, int end)',
    createDecompressor: 'uint64 ZSTD_createDCtx()',
    freeDecompressor: 'size_t ZSTD_freeDCtx(uint64 context)',
    decompress: 'size_t ZSTD_decompressStream(uint64 context, uint64 output, uint64 input)',
    isError: 'uint ZSTD_isError(size_t code)',
  });
  if (z === null) return null;
  return {
    compress(data, maxBytes) {
      const packed = Buffer.allocUnsafeSlow(maxBytes);
      const output = zstdBuffer(packed);
      const input = zstdBuffer(data);
      const context = z.createCompressor();
      const left = z.compress(context, addressOf(output), addressOf(input), ZSTD_END);
      z.freeCompressor(context);
      return Number(left) === 0 ? packed.subarray(0, zstdPosition(output)) : null;
    },
    decompress(data, bytes) {
      const unpacked = Buffer.allocUnsafeSlow(bytes);
      const output = zstdBuffer(unpacked);
      const input = zstdBuffer(data);
      const context = z.createDecompressor();
      let left = 0;
      // There may be several frames. Each call has to make progress, or the data are damaged.
      for (let before = -1; zstdPosition(output) < bytes; ) {
        const progress = zstdPosition(output) + zstdPosition(input);
        if (progress === before) {
          left = 1;
          break;
        }
        before = progress;
        left = Number(z.decompress(context, addressOf(output), addressOf(input)));
        if (z.isError(left) !== 0) break;
      }
      z.freeDecompressor(context);
      return left === 0 ? unpacked : null;
    },
  };
}

/** zstd's `ZSTD_inBuffer` or `ZSTD_outBuffer`: address, length, position. */
function zstdBuffer(data: Buffer): Buffer {
  const buffer = Buffer.alloc(128);
  buffer.writeBigUInt64LE(addressOf(data), 0);
  buffer.writeBigUInt64LE(BigInt(data.length), 8);
  return buffer;
}

function zstdPosition(buffer: Buffer): number {
  return Number(buffer.readBigUInt64LE(16));
}

/** The types of the oldest Node that is supported do not have these. */
type NodeZstd = (data: Buffer, options?: { maxOutputLength?: number }) => Buffer;

function nodeZstd(): Codec | null {
  const { zstdCompressSync, zstdDecompressSync } = ownZlib() as unknown as {
    readonly zstdCompressSync?: NodeZstd;
    readonly zstdDecompressSync?: NodeZstd;
  };
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) return null;
  return {
    compress(data, maxBytes) {
      const packed = zstdCompressSync(data);
      return packed.length <= maxBytes ? packed : null;
    },
    decompress(data, bytes) {
      try {
        const unpacked = zstdDecompressSync(data, { maxOutputLength: bytes });
        return unpacked.length === bytes ? unpacked : null;
      } catch {
        return null;
      }
    },
  };
}
