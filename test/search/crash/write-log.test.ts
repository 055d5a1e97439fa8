/** Logs of writes as other programs make them. */
import { describe, expect, it } from 'vitest';
import { encodeWriteLog, type LogSource, readWriteLog } from '../../../src/search/crash/write-log.ts';
import type { LogEntry } from '../../../src/sandbox/disks/disk-log.ts';

const place = { disk: 0, flags: 0, request: 1, command: 1 };
const LIMIT = 1 << 20;

function sourceOf(bytes: Buffer): LogSource {
  return {
    lengthBytes: bytes.length,
    read(offset, data) {
      data.fill(0);
      bytes.copy(data, 0, offset);
    },
  };
}

/** A log of entries: sector, sectors, flags, and the sectors of data that follow. */
function logFile(entries: readonly (readonly [number, number, number, number])[], sectorBytes = 512): Buffer {
  const first = Buffer.alloc(sectorBytes);
  first.writeBigUInt64LE(0x6a736677736872n, 0);
  first.writeBigUInt64LE(1n, 8);
  first.writeBigUInt64LE(BigInt(entries.length), 16);
  first.writeUInt32LE(sectorBytes, 24);
  const parts = [first];
  for (const [sector, sectors, flags, dataSectors] of entries) {
    const head = Buffer.alloc(sectorBytes);
    head.writeBigUInt64LE(BigInt(sector), 0);
    head.writeBigUInt64LE(BigInt(sectors), 8);
    head.writeBigUInt64LE(BigInt(flags), 16);
    parts.push(head, Buffer.alloc(dataSectors * sectorBytes, sector));
  }
  return Buffer.concat(parts);
}

function read(file: Buffer): LogEntry[] {
  return readWriteLog(sourceOf(file), LIMIT);
}

describe('a log of writes', () => {
  it('is read as changes and flushes', () => {
    const log = read(
      logFile([
        [8, 2, 0, 2],
        [0, 0, 1, 0],
        [3, 1, 3, 1],
        [0, 0, 8, 0],
        [16, 4, 4, 0],
      ]),
    );
    expect(log.map(({ kind, offset, bytes }) => [kind, offset, bytes])).toEqual([
      ['write', 4096, 1024],
      ['flush', 0, 0],
      ['flush', 0, 0],
      ['write', 1536, 512],
      ['flush', 0, 0],
      ['discard', 8192, 2048],
    ]);
    expect(log[0]?.data?.every((byte) => byte === 8)).toBe(true);
    expect(read(logFile([[1, 1, 0, 1]], 4096))[0]).toMatchObject({ offset: 4096, bytes: 4096 });
  });

  it.each([
    ['no log', Buffer.alloc(512), 'not a log of writes'],
    ['another version', logFile([]).fill(2, 8, 9), 'version 2 of logs of writes is not known'],
    ['odd sectors', logFile([]).fill(1, 24, 25), 'a log of writes with sectors of 513 bytes'],
    ['too many entries', logFile([]).fill(0xff, 16, 24), 'a log of 18446744073709551615 writes is too long'],
    ['a cut off end', logFile([[0, 4, 0, 4]]).subarray(0, 2048), 'entry 0 of the log is longer than the log'],
    ['a missing entry', logFile([]).fill(1, 16, 17), 'entry 0 of the log is behind its end'],
    ['unknown flags', logFile([[0, 0, 64, 0]]), 'entry 0 of the log has unknown flags: 0x40'],
    ['enormous offsets', logFile([[2 ** 50, 1, 0, 1]]), 'entry 0 of the log is beyond what a file can hold'],
    ['much data', logFile([[0, 4096, 0, 4096]]), 'the log has more than 1 MiB of data'],
  ])('is refused with %s', (_, file, message) => {
    expect(() => read(file)).toThrow(message);
  });

  it('is written in whole sectors, with what is around a write', () => {
    const log: LogEntry[] = [
      { ...place, kind: 'write', offset: 500, bytes: 100, data: Buffer.alloc(100, 7) },
      { ...place, kind: 'flush', offset: 0, bytes: 0, data: null },
      { ...place, kind: 'truncate', offset: 4096, bytes: 0, data: null },
      { ...place, kind: 'discard', offset: 1024, bytes: 512, data: null },
      { ...place, disk: 1, kind: 'discard', offset: 1024, bytes: 512, data: null },
      { ...place, kind: 'zero', offset: 0, bytes: (1 << 20) + 1, data: null },
    ];
    const parts = [...encodeWriteLog(log, (_index, _offset, data) => data.fill(0xaa))];
    const again = readWriteLog(sourceOf(Buffer.concat(parts)), 4 << 20);
    expect(again.map(({ kind, offset, bytes }) => [kind, offset, bytes])).toEqual([
      ['write', 0, 1024],
      ['flush', 0, 0],
      ['discard', 1024, 512],
      ['write', 0, 1 << 20],
      ['write', 1 << 20, 512],
    ]);
    const data = again[0]?.data ?? Buffer.alloc(0);
    expect([data[499], data[500], data[599], data[600]]).toEqual([0xaa, 7, 7, 0xaa]);
    const last = again[4]?.data ?? Buffer.alloc(0);
    expect([last[0], last[1]]).toEqual([0, 0xaa]);
  });
});
