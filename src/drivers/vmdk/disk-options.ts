/** The options of new vmdk images, in the order in which qemu-img says them, and their checks. */
import type { CreateOption, CreateValues } from '../../block/driver.ts';
import { BlockError, invalidArgument } from '../../block/error.ts';
import { SECTOR_BYTES } from '../../block/flags.ts';
import { parseBool } from '../../block/options/options.ts';
import { alignUp } from '../../util/align.ts';
import { Errno } from '../../util/errno.ts';

const subformats = [
  'monolithicSparse',
  'monolithicFlat',
  'twoGbMaxExtentSparse',
  'twoGbMaxExtentFlat',
  'streamOptimized',
] as const;
const adapterTypes = ['ide', 'buslogic', 'lsilogic', 'legacyESX'] as const;

/** All of them. */
export const vmdkCreateOptions: readonly CreateOption[] = [
  { name: 'size', type: 'size', help: 'the length of the disk' },
  { name: 'adapter_type', type: 'string', help: 'the adapter of the guest: ide, lsilogic, buslogic or legacyESX' },
  { name: 'backing_file', type: 'string', help: 'the image that shows through where this one has nothing' },
  { name: 'backing_fmt', type: 'string', help: 'the format of the backing file: vmdk' },
  { name: 'compat6', type: 'bool', initial: 'off', help: 'for hardware of version 6' },
  { name: 'hwversion', type: 'string', initial: 'undefined', help: "the version of the guest's hardware" },
  { name: 'toolsversion', type: 'string', help: "the version of VMware's tools in the guest" },
  { name: 'subformat', type: 'string', help: `${subformats.slice(0, -1).join(', ')} or ${subformats.at(-1)}` },
  { name: 'zeroed_grain', type: 'bool', help: 'grains of zeroes take no space' },
];

/** A new image, as its options say it. */
export interface NewDisk {
  readonly lengthBytes: number;
  readonly subformat: (typeof subformats)[number];
  readonly isFlat: boolean;
  readonly isSplit: boolean;
  readonly isCompressed: boolean;
  readonly hasZeroGrains: boolean;
  readonly backingFile: string | null;
  readonly adapterType: string;
  /** Of the disk's geometry as adapters other than IDE report it. */
  readonly heads: number;
  readonly hardwareVersion: string;
  readonly toolsVersion: string;
}

/** Reads and checks the values. EINVAL or ENOTSUP with QEMU's texts. */
export function newDiskFrom(values: CreateValues): NewDisk {
  const backingFormat = values.get('backing_fmt');
  if (backingFormat !== undefined && backingFormat !== 'vmdk') {
    throw invalidArgument('backing_file must be a vmdk image');
  }
  const lengthBytes = alignUp(Number(values.get('size') ?? 0), SECTOR_BYTES);
  const adapterType = oneOf(adapterTypes, values.get('adapter_type'), 'ide');
  const subformat = oneOf(subformats, values.get('subformat'), 'monolithicSparse');
  const isOn = (name: string): boolean => parseBool(name, values.get(name) ?? 'off');
  const given = values.get('hwversion');
  const hardwareVersion = given === 'undefined' ? undefined : given;
  if (isOn('compat6') && hardwareVersion !== undefined) {
    throw invalidArgument('compat6 cannot be enabled with hwversion set');
  }
  const isFlat = subformat === 'monolithicFlat' || subformat === 'twoGbMaxExtentFlat';
  const backingFile = values.get('backing_file') ?? null;
  if (isFlat && backingFile !== null) throw new BlockError(Errno.ENOTSUP, "Flat image can't have backing file");
  const hasZeroGrains = isOn('zeroed_grain');
  if (isFlat && hasZeroGrains) throw new BlockError(Errno.ENOTSUP, "Flat image can't enable zeroed grain");
  return {
    lengthBytes,
    subformat,
    isFlat,
    isSplit: subformat === 'twoGbMaxExtentSparse' || subformat === 'twoGbMaxExtentFlat',
    isCompressed: subformat === 'streamOptimized',
    hasZeroGrains,
    backingFile,
    adapterType,
    heads: adapterType === 'ide' ? 16 : 255,
    hardwareVersion: hardwareVersion ?? (isOn('compat6') ? '6' : '4'),
    toolsVersion: values.get('toolsversion') ?? '2147483647',
  };
}

function oneOf<T extends string>(choices: readonly T[], value: string | undefined, initial: T): T {
  if (value === undefined) return initial;
  const chosen = choices.find((choice) => choice === value);
  if (chosen === undefined) throw invalidArgument(`invalid parameter value: ${value}`);
  return chosen;
}
