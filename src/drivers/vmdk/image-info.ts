/** The facts of a vmdk image that `info` tells. */
import type { DriverInfo, SpecificInfo } from '../../block/driver.ts';
import { BlockError } from '../../block/error.ts';
import { refreshFilename } from '../../block/graph/refresh-filename.ts';
import { Errno } from '../../util/errno.ts';
import type { Extent } from './extent.ts';
import type { VmdkImage } from './vmdk-image.ts';

/** The length of grains. ENOTSUP if extents differ in it, or there are none. */
export function imageInfo({ extents: [first, ...others] }: VmdkImage): DriverInfo {
  if (first === undefined || others.some((other) => !isAlike(first, other))) throw new BlockError(Errno.ENOTSUP);
  return { clusterBytes: first.kind === 'flat' ? 0 : first.grainBytes, vmStateOffset: 0 };
}

function isAlike(first: Extent, other: Extent): boolean {
  const isFlat = first.kind === 'flat';
  return (
    isFlat === (other.kind === 'flat') &&
    first.isCompressed === other.isCompressed &&
    (isFlat || first.grainBytes === other.grainBytes)
  );
}

/** The ids and the extents, in the order of qemu-io 7.2. */
export function specificInfo({ cid, parentCid, createType, extents }: VmdkImage): SpecificInfo {
  return { cid, 'parent-cid': parentCid, 'create-type': createType, extents: extents.map(infoOf) };
}

function infoOf(extent: Extent): SpecificInfo {
  const { node } = extent.file;
  refreshFilename(node);
  return {
    ...(extent.isCompressed ? { compressed: true } : {}),
    'virtual-size': extent.lengthBytes,
    filename: node.filename,
    ...(extent.kind === 'flat' ? {} : { 'cluster-size': extent.grainBytes }),
    format: extent.type,
  };
}
