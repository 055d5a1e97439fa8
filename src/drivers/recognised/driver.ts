/**
 * Formats that are recognised and not opened: QEMU's others.
 *
 * To know them keeps an image of such a format from being taken for raw, and a guessed raw image from being turned into
 * one of them by what is written to its first sector.
 */
import type { Driver } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import { Errno } from '../../util/errno.ts';

const CERTAIN = 100;
/** For marks that other files may have as well; still more than what raw says of everything. */
const LIKELY = 2;

type Probe = (head: Buffer, filename: string) => number;

function startsWith(head: Buffer, mark: string): boolean {
  return head.length >= mark.length && head.toString('latin1', 0, mark.length) === mark;
}

function hasText(head: Buffer, offset: number, text: string): boolean {
  return head.toString('latin1', offset, offset + text.length + 1) === `${text}\0`;
}

function marks(...texts: readonly string[]): Probe {
  return (head) => (texts.some((text) => startsWith(head, text)) ? CERTAIN : 0);
}

const CLOOP_SCRIPT = '#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n';

/** Signatures: the formats' own specifications, and what qemu-io 7.2.22 recognises. */
const probes: Readonly<Record<string, Probe>> = {
  bochs: (head) => {
    if (head.length < 512 || !hasText(head, 0, 'Bochs Virtual HD Image')) return 0;
    if (!hasText(head, 32, 'Redolog') || !hasText(head, 48, 'Growing')) return 0;
    return [0x10000, 0x20000].includes(head.readUInt32LE(64)) ? CERTAIN : 0;
  },
  cloop: (head) => (startsWith(head, CLOOP_SCRIPT) ? LIKELY : 0),
  dmg: (_head, filename) => (filename.length > 4 && filename.endsWith('.dmg') ? LIKELY : 0),
  parallels: (head) => {
    const isMarked = startsWith(head, 'WithoutFreeSpace') || startsWith(head, 'WithouFreSpacExt');
    return isMarked && head.length >= 64 && head.readUInt32LE(16) === 2 ? CERTAIN : 0;
  },
  vdi: (head) => (head.length >= 512 && head.readUInt32LE(64) === 0xbeda107f ? CERTAIN : 0),
  vhdx: marks('vhdxfile'),
  vpc: marks('conectix'),
};

function recognised(formatName: string, probe: Probe): Driver<null> {
  return {
    formatName,
    isFormat: true,
    probe: (head, filename) => probe(Buffer.from(head.buffer, head.byteOffset, head.length), filename),
    async open() {
      throw new BlockError(Errno.ENOTSUP, `blkscope recognises the format '${formatName}' but cannot open it`);
    },
  };
}

/** One driver for each of them, which says that it is not there. */
export const recognisedFormats: readonly Driver<null>[] = Object.entries(probes).map(([name, probe]) =>
  recognised(name, probe),
);
