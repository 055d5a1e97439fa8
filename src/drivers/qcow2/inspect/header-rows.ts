/** The header, field by field under the names of the specification, with its extensions. */
import type { Field, Row, RowSink, Structure } from '../../../block/inspect.ts';
import { run, type Steps } from '../../../util/steps.ts';
import { HEADER_V2_BYTES, HeaderField, MAGIC } from '../format/header-fields.ts';
import { Extension } from '../tables/extensions.ts';
import type { Qcow2Image } from '../tables/image.ts';
import { MetadataView } from './view.ts';

const fields: readonly Field[] = [
  {
    key: 'field',
    title: 'FIELD',
    help: 'the name of the field in the qcow2 specification, or of a part of an extension',
  },
  {
    key: 'at',
    title: 'AT',
    unit: 'offset',
    help: 'where it is in the file; null for what an old header does not have',
  },
  { key: 'value', title: 'VALUE', help: 'its value in memory, as `qcow2.py dump-header` of QEMU writes it' },
  { key: 'disk', title: 'ON DISK', unlessAs: 'value', help: 'its value on disk' },
];

type Format = 'hex' | 'decimal' | 'bits';

/** A field of the header; `memory` is left out for what is not kept while the image is open. */
interface HeaderRow {
  readonly name: string;
  readonly at: number;
  readonly bytes: 1 | 4 | 8;
  readonly format: Format;
  readonly memory?: (image: Qcow2Image) => number | bigint;
  /** In a header of version 2, which does not have it. */
  readonly inVersion2?: number;
}

const headerRows: readonly HeaderRow[] = [
  { name: 'magic', at: HeaderField.MAGIC, bytes: 4, format: 'hex', memory: () => MAGIC },
  { name: 'version', at: HeaderField.VERSION, bytes: 4, format: 'decimal', memory: (image) => image.version },
  { name: 'backing_file_offset', at: HeaderField.BACKING_OFFSET, bytes: 8, format: 'hex' },
  { name: 'backing_file_size', at: HeaderField.BACKING_BYTES, bytes: 4, format: 'hex' },
  { name: 'cluster_bits', at: HeaderField.CLUSTER_BITS, bytes: 4, format: 'decimal', memory: (i) => i.clusterBits },
  { name: 'size', at: HeaderField.LENGTH, bytes: 8, format: 'decimal', memory: (image) => image.lengthBytes },
  { name: 'crypt_method', at: HeaderField.CRYPT_METHOD, bytes: 4, format: 'decimal', memory: (i) => i.cryptMethod },
  { name: 'l1_size', at: HeaderField.L1_ENTRY_COUNT, bytes: 4, format: 'decimal', memory: (i) => i.l1.entryCount },
  { name: 'l1_table_offset', at: HeaderField.L1_OFFSET, bytes: 8, format: 'hex', memory: (i) => i.l1.offset },
  {
    name: 'refcount_table_offset',
    at: HeaderField.REFCOUNT_TABLE_OFFSET,
    bytes: 8,
    format: 'hex',
    memory: (image) => image.refcountTable.offset,
  },
  {
    name: 'refcount_table_clusters',
    at: HeaderField.REFCOUNT_TABLE_CLUSTERS,
    bytes: 4,
    format: 'decimal',
    memory: (image) => image.refcountTable.bytes.length / image.clusterBytes,
  },
  {
    name: 'nb_snapshots',
    at: HeaderField.SNAPSHOT_COUNT,
    bytes: 4,
    format: 'decimal',
    memory: (image) => image.snapshots.length,
  },
  {
    name: 'snapshot_offset',
    at: HeaderField.SNAPSHOTS_OFFSET,
    bytes: 8,
    format: 'hex',
    memory: (image) => image.snapshotsOffset,
  },
  {
    name: 'incompatible_features',
    at: HeaderField.INCOMPATIBLE,
    bytes: 8,
    format: 'bits',
    memory: (image) => image.incompatible,
    inVersion2: 0,
  },
  {
    name: 'compatible_features',
    at: HeaderField.COMPATIBLE,
    bytes: 8,
    format: 'bits',
    memory: (image) => image.compatible,
    inVersion2: 0,
  },
  {
    name: 'autoclear_features',
    at: HeaderField.AUTOCLEAR,
    bytes: 8,
    format: 'bits',
    memory: (image) => image.autoclear,
    inVersion2: 0,
  },
  {
    name: 'refcount_order',
    at: HeaderField.REFCOUNT_ORDER,
    bytes: 4,
    format: 'decimal',
    memory: (image) => image.refcountOrder,
    inVersion2: 4,
  },
  { name: 'header_length', at: HeaderField.HEADER_BYTES, bytes: 4, format: 'decimal', inVersion2: HEADER_V2_BYTES },
];

/** The names of extensions that `qcow2.py` knows. */
const extensionNames: ReadonlyMap<number, string> = new Map([
  [Extension.BACKING_FORMAT, 'Backing format'],
  [Extension.FEATURE_TABLE, 'Feature table'],
  [Extension.CRYPTO_HEADER, 'Crypto header'],
  [Extension.BITMAPS, 'Bitmaps'],
  [Extension.DATA_FILE, 'Data file'],
]);

/** The structure `header`. */
export function headerStructure(image: Qcow2Image): Structure {
  return { name: 'header', fields, rows: (_range, sink) => run(rows(image, sink)) };
}

function* rows(image: Qcow2Image, sink: RowSink): Steps<void> {
  const cluster = yield* new MetadataView(image).onDisk(0, image.clusterBytes);
  const isV2 = cluster.readUInt32BE(HeaderField.VERSION) === 2;
  for (const row of headerRows) sink(fieldRow(image, cluster, row, isV2));
  const headerBytes = isV2 ? HEADER_V2_BYTES : cluster.readUInt32BE(HeaderField.HEADER_BYTES);
  if (headerBytes > HeaderField.COMPRESSION_TYPE) {
    const value = String(cluster[HeaderField.COMPRESSION_TYPE] ?? 0);
    sink({
      field: 'compression_type',
      at: HeaderField.COMPRESSION_TYPE,
      value: String(image.compressionType),
      disk: value,
    });
  }
  extensionRows(cluster, headerBytes, sink);
  backingRow(image, cluster, sink);
}

function fieldRow(image: Qcow2Image, cluster: Buffer, row: HeaderRow, isV2: boolean): Row {
  const { name, at, bytes, format, memory, inVersion2 } = row;
  const isMissing = isV2 && inVersion2 !== undefined;
  const onDisk = isMissing ? inVersion2 : bytes === 8 ? cluster.readBigUInt64BE(at) : cluster.readUInt32BE(at);
  const disk = formatted(onDisk, format);
  return {
    field: name,
    at: isMissing ? null : at,
    value: memory === undefined ? disk : formatted(memory(image), format),
    disk,
  };
}

function formatted(value: number | bigint, format: Format): string {
  if (format === 'decimal') return String(value);
  if (format === 'hex') return `0x${value.toString(16)}`;
  const bits = BigInt(value)
    .toString(2)
    .split('')
    .toReversed()
    .flatMap((bit, index) => (bit === '1' ? [index] : []));
  return `[${bits.join(', ')}]`;
}

/** Extensions are as they are on disk: in memory there is only what came of them. */
function extensionRows(cluster: Buffer, start: number, sink: RowSink): void {
  let number = 0;
  for (let at = start; at + 8 <= cluster.length; ) {
    const magic = cluster.readUInt32BE(at);
    const bytes = cluster.readUInt32BE(at + 4);
    if (magic === Extension.END || at + 8 + bytes > cluster.length) return;
    const data = cluster.subarray(at + 8, at + 8 + bytes);
    const put = (part: string, partAt: number, value: string): void =>
      sink({ field: `extension.${number}.${part}`, at: partAt, value, disk: value });
    put('magic', at, `0x${magic.toString(16)} (${extensionNames.get(magic) ?? '<unknown>'})`);
    put('length', at + 4, String(bytes));
    if (magic === Extension.BITMAPS && bytes >= 24) {
      put('nb_bitmaps', at + 8, String(data.readUInt32BE(0)));
      put('bitmap_directory_size', at + 16, `0x${data.readBigUInt64BE(8).toString(16)}`);
      put('bitmap_directory_offset', at + 24, `0x${data.readBigUInt64BE(16).toString(16)}`);
    } else {
      put('data', at + 8, dataText(data));
    }
    at += 8 + Math.ceil(bytes / 8) * 8;
    number += 1;
  }
}

function dataText(data: Buffer): string {
  return data.every((byte) => byte >= 0x20 && byte < 0x7f) ? `'${data.toString('latin1')}'` : '<binary>';
}

function backingRow(image: Qcow2Image, cluster: Buffer, sink: RowSink): void {
  const at = Number(cluster.readBigUInt64BE(HeaderField.BACKING_OFFSET));
  if (at === 0) return;
  const bytes = cluster.readUInt32BE(HeaderField.BACKING_BYTES);
  const disk = cluster.subarray(at, at + bytes).toString('utf8');
  sink({ field: 'backing_file', at, value: image.backingFile?.toString('utf8') ?? '', disk });
}
