/** The meaning of each debug event for debugging a block layer: what fires it, when, and what the disk holds then. */
import type { EventName } from './events.ts';

/** The text of `help event NAME`. */
export interface EventGuide {
  /** One sentence: what is about to happen, or has just happened. */
  readonly meaning: string;
  /** The step that fires it, and on whose child. */
  readonly firedBy: string;
  /** The content of an image if everything stops at this moment. */
  readonly onDisk: string;
  /** Events that usually come just before and just after. */
  readonly before: readonly EventName[];
  readonly after: readonly EventName[];
}

const unused = 'Nothing in the block layer fires it today; rules on it are accepted and never act.';

/** The guide to every event. Facts: the qcow2 specification, and sequences observed with qemu-io 7.2.22. */
export const eventGuide: Readonly<Record<EventName, EventGuide>> = {
  l1_update: {
    meaning: 'An entry of the L1 table is about to be written.',
    firedBy: 'qcow2 and qed, after a new L2 table was written and flushed; qcow, before that.',
    onDisk: 'The new L2 table and its refcount are there; the L1 entry still points nowhere, or to the old table.',
    before: ['l2_alloc_write'],
    after: ['pwritev', 'pwritev_done'],
  },
  l1_grow_alloc_table: {
    meaning: 'Space for a larger L1 table is about to be allocated.',
    firedBy: 'qcow2, when the image grows or a VM state lies behind what the L1 table covers.',
    onDisk: 'Nothing has changed.',
    before: [],
    after: ['cluster_alloc', 'l1_grow_write_table'],
  },
  l1_grow_write_table: {
    meaning: 'The copy of the L1 table is about to be written to its new place.',
    firedBy: 'qcow2, while the L1 table grows.',
    onDisk: 'The new place has its refcounts; nothing points to it. A stop here leaks it.',
    before: ['l1_grow_alloc_table'],
    after: ['l1_grow_activate_table'],
  },
  l1_grow_activate_table: {
    meaning: 'The header is about to be pointed to the new L1 table.',
    firedBy: 'qcow2, while the L1 table grows.',
    onDisk: 'Both tables are complete; the header still names the old one.',
    before: ['l1_grow_write_table'],
    after: ['pwritev', 'cluster_free'],
  },
  l2_load: {
    meaning: 'An L2 table (or a slice of it) is about to be read into the cache.',
    firedBy: 'qcow2, qed, qcow and vmdk, at a cache miss of the look-up of a guest offset; qcow also for a new table.',
    onDisk: 'As before; a read changes nothing.',
    before: [],
    after: ['read_aio', 'write_aio', 'cluster_alloc'],
  },
  l2_update: {
    meaning: 'A changed L2 table of the cache is about to be written.',
    firedBy:
      'qcow2, when the cache is flushed or needs the place for another table; qed, qcow and vmdk, in every write that allocates.',
    onDisk: 'The data and the refcounts that the table depends on are there; the table on disk is the old one.',
    before: ['refblock_update_part', 'flush_to_os'],
    after: ['pwritev', 'pwritev_done'],
  },
  l2_update_compressed: {
    meaning: 'The entry of a compressed cluster is about to be set in an L2 table.',
    firedBy: 'qcow2 and qcow, when a compressed write has its space.',
    onDisk: 'The space is counted; neither the data nor the entry is there.',
    before: ['cluster_alloc_bytes'],
    after: ['write_compressed'],
  },
  l2_alloc_cow_read: {
    meaning: 'An L2 table that a snapshot shares is about to be read, to be copied.',
    firedBy: 'qcow2, at the first write under a shared L2 table.',
    onDisk: 'A place for the copy is counted; the L1 entry points to the shared table.',
    before: ['cluster_alloc'],
    after: ['l2_alloc_write'],
  },
  l2_alloc_write: {
    meaning: 'A new L2 table is about to be written.',
    firedBy: 'qcow2, when a range has no L2 table of its own yet.',
    onDisk: 'The place of the table is counted; nothing points to it. A stop here leaks one cluster.',
    before: ['cluster_alloc', 'l2_alloc_cow_read'],
    after: ['flush_to_os', 'l1_update'],
  },
  read_aio: {
    meaning: 'Guest data is about to be read from the image file.',
    firedBy:
      'raw for every read; qcow2 and qed for each run of clusters that the image has as plain data, qcow and vmdk for each one.',
    onDisk: 'As before; a read changes nothing.',
    before: ['l2_load'],
    after: [],
  },
  read_backing_aio: {
    meaning: 'Guest data is about to be read from the backing file.',
    firedBy: 'qcow2, qed, qcow and vmdk, for clusters that the image does not have.',
    onDisk: 'As before; a read changes nothing.',
    before: [],
    after: [],
  },
  read_compressed: {
    meaning: 'The bytes of a compressed cluster are about to be read.',
    firedBy: 'qcow2, qcow and vmdk, for reads of compressed clusters.',
    onDisk: 'As before; a read changes nothing.',
    before: [],
    after: [],
  },
  write_aio: {
    meaning: 'Guest data is about to be written to the image file.',
    firedBy: 'raw for every write; qcow2, qed, qcow and vmdk once the clusters of the write are allocated.',
    onDisk: 'Refcounts may count the new clusters (or the cache holds that); no L2 entry points to them yet.',
    before: ['l2_load', 'cluster_alloc', 'cow_read'],
    after: ['pwritev', 'cow_write', 'l2_update'],
  },
  write_compressed: {
    meaning: 'The bytes of a compressed cluster are about to be written.',
    firedBy: 'qcow2 and qcow, for compressed writes; vmdk, for every write to a streamOptimized image.',
    onDisk: 'The space is counted and the L2 entry is set in the cache; the data is not there.',
    before: ['l2_update_compressed'],
    after: ['pwritev', 'pwritev_done'],
  },
  vmstate_load: {
    meaning: 'VM state is about to be read.',
    firedBy: 'qcow2, for `read -b`.',
    onDisk: 'As before; a read changes nothing.',
    before: [],
    after: ['read_aio'],
  },
  vmstate_save: {
    meaning: 'VM state is about to be written behind the guest data.',
    firedBy: 'qcow2, for `write -b`.',
    onDisk: 'Nothing has changed yet.',
    before: [],
    after: ['cluster_alloc', 'write_aio'],
  },
  cow_read: {
    meaning: 'What a new cluster takes over from its old place is about to be read.',
    firedBy: 'qcow2, and vmdk over a parent, for the parts of a new cluster that the write leaves out.',
    onDisk: 'The new cluster is counted; the L2 entry names the old place, or none.',
    before: ['cluster_alloc'],
    after: ['read_backing_aio', 'cow_write', 'write_aio'],
  },
  cow_write: {
    meaning: 'What a new cluster takes over is about to be written to it.',
    firedBy:
      'qcow2, unless the guest data next to it could be written together with it; qed and vmdk, before the guest data.',
    onDisk: 'The new cluster has the guest data, not the rest; no L2 entry names it.',
    before: ['write_aio', 'cow_read'],
    after: ['l2_update'],
  },
  reftable_load: {
    meaning: 'The refcount table is about to be read.',
    firedBy: 'qcow2, when the image is opened.',
    onDisk: 'As before; a read changes nothing.',
    before: [],
    after: [],
  },
  reftable_grow: {
    meaning: 'A larger refcount table is needed and is about to be made.',
    firedBy: 'qcow2, when the new cluster lies behind what the refcount table covers.',
    onDisk: 'Nothing has changed.',
    before: ['refblock_alloc'],
    after: ['refblock_alloc_write_blocks'],
  },
  reftable_update: {
    meaning: 'The header is about to be pointed to the refcount table of an emptied image.',
    firedBy: 'qcow2, when a whole image is made empty at once.',
    onDisk: 'The header and the tables in front of the file are being laid out anew.',
    before: [],
    after: [],
  },
  refblock_load: {
    meaning: 'A refcount block is about to be read into the cache.',
    firedBy: 'qcow2, at a cache miss of a refcount look-up.',
    onDisk: 'As before; a read changes nothing.',
    before: ['cluster_alloc'],
    after: ['refblock_update_part'],
  },
  refblock_update: {
    meaning: 'A whole refcount block is about to be written.',
    firedBy: unused,
    onDisk: 'As before.',
    before: [],
    after: [],
  },
  refblock_update_part: {
    meaning: 'A changed refcount block of the cache is about to be written.',
    firedBy: 'qcow2, when the cache is flushed or needs the place for another block.',
    onDisk: 'The counts on disk are the old ones: too low for clusters allocated since, but no L2 entry names those.',
    before: ['flush_to_os'],
    after: ['pwritev', 'l2_update'],
  },
  refblock_alloc: {
    meaning: 'A new refcount block is about to be allocated.',
    firedBy: 'qcow2, when a cluster is to be counted whose refcount block does not exist.',
    onDisk: 'Nothing has changed.',
    before: ['cluster_alloc'],
    after: ['refblock_alloc_write', 'reftable_grow'],
  },
  refblock_alloc_hookup: {
    meaning: 'The refcount table is about to be pointed to a new refcount block.',
    firedBy: 'qcow2, when the block is written and the table has a free entry for it.',
    onDisk: 'The block is complete; the refcount table does not name it. A stop here leaks it.',
    before: ['refblock_alloc_write'],
    after: ['pwritev', 'pwritev_done'],
  },
  refblock_alloc_write: {
    meaning: 'A new refcount block is about to be written.',
    firedBy: 'qcow2, while it allocates a refcount block.',
    onDisk: 'Nothing names the place of the block.',
    before: ['refblock_alloc'],
    after: ['refblock_update_part', 'refblock_alloc_hookup'],
  },
  refblock_alloc_write_blocks: {
    meaning: 'The refcount blocks of a new, larger refcount table are about to be written.',
    firedBy: 'qcow2, while the refcount table grows; the blocks count the new table and themselves.',
    onDisk: 'The old table is in force; nothing names the new area.',
    before: ['reftable_grow'],
    after: ['refblock_alloc_write_table'],
  },
  refblock_alloc_write_table: {
    meaning: 'The new refcount table is about to be written.',
    firedBy: 'qcow2, while the refcount table grows.',
    onDisk: 'The new blocks are complete; the old table is in force.',
    before: ['refblock_alloc_write_blocks'],
    after: ['refblock_alloc_switch_table'],
  },
  refblock_alloc_switch_table: {
    meaning: 'The header is about to be pointed to the new refcount table.',
    firedBy: 'qcow2, while the refcount table grows.',
    onDisk: 'Both tables are complete; the header names the old one. A stop here leaks the new one.',
    before: ['refblock_alloc_write_table'],
    after: ['pwritev', 'cluster_free'],
  },
  cluster_alloc: {
    meaning: 'Clusters are about to be allocated.',
    firedBy: 'qcow2, for data, tables and snapshots; qcow, for data.',
    onDisk: 'Nothing has changed.',
    before: ['l2_load'],
    after: ['refblock_load', 'refblock_alloc', 'write_aio', 'l2_alloc_write'],
  },
  cluster_alloc_bytes: {
    meaning: 'Space for the bytes of a compressed cluster is about to be allocated.',
    firedBy: 'qcow2, for compressed writes; a host cluster is shared by several of them.',
    onDisk: 'Nothing has changed.',
    before: [],
    after: ['l2_update_compressed'],
  },
  cluster_free: {
    meaning: 'The refcounts of clusters are about to be lowered.',
    firedBy: 'qcow2, for discards, overwritten compressed clusters, old tables and failed allocations.',
    onDisk: 'The clusters are still counted; nothing names them any more, or will not once the cache is written.',
    before: [],
    after: ['refblock_load', 'refblock_update_part'],
  },
  flush_to_os: {
    meaning: 'What the drivers have cached is about to be handed to the host.',
    firedBy: 'the flush of every node, on the child that is its file.',
    onDisk: 'The host may have older tables than the drivers’ caches.',
    before: [],
    after: ['refblock_update_part', 'l2_update', 'flush_to_disk'],
  },
  flush_to_disk: {
    meaning: 'The host is about to be asked to put everything on stable storage.',
    firedBy: 'the flush of a node that was written to since its last flush; not with cache=unsafe.',
    onDisk: 'The host has everything; a power failure may still lose it.',
    before: ['flush_to_os'],
    after: [],
  },
  pwritev_rmw_head: {
    meaning: 'The first block of a misaligned write is about to be read.',
    firedBy: 'the write of a node whose alignment is larger than the request’s (cache=none, `align`).',
    onDisk: 'Nothing has changed. The range is closed to other writes from here to pwritev_done.',
    before: [],
    after: ['pwritev_rmw_after_head'],
  },
  pwritev_rmw_after_head: {
    meaning: 'The first block of a misaligned write was read.',
    firedBy: 'the write of a node whose alignment is larger than the request’s.',
    onDisk: 'Nothing has changed.',
    before: ['pwritev_rmw_head'],
    after: ['pwritev_rmw_tail', 'pwritev'],
  },
  pwritev_rmw_tail: {
    meaning: 'The last block of a misaligned write is about to be read.',
    firedBy: 'the write of a node whose alignment is larger than the request’s.',
    onDisk: 'Nothing has changed.',
    before: ['pwritev_rmw_after_head'],
    after: ['pwritev_rmw_after_tail'],
  },
  pwritev_rmw_after_tail: {
    meaning: 'The last block of a misaligned write was read.',
    firedBy: 'the write of a node whose alignment is larger than the request’s.',
    onDisk: 'Nothing has changed.',
    before: ['pwritev_rmw_tail'],
    after: ['pwritev'],
  },
  pwritev: {
    meaning: 'Data is about to be handed to the driver of the node.',
    firedBy: 'every write of data, of guest data and of metadata alike, on the node that is written to.',
    onDisk: 'Nothing has changed.',
    before: ['write_aio', 'pwritev_rmw_after_tail'],
    after: ['pwritev_done'],
  },
  pwritev_zero: {
    meaning: 'Zeroes are about to be made without data.',
    firedBy: 'every zero write, on the node that is written to.',
    onDisk: 'Nothing has changed.',
    before: [],
    after: ['pwritev_done'],
  },
  pwritev_done: {
    meaning: 'A write was done by the driver, or failed.',
    firedBy: 'every write, once for each aligned part.',
    onDisk: 'The host has the data, unless the write failed.',
    before: ['pwritev', 'pwritev_zero'],
    after: [],
  },
  empty_image_prepare: {
    meaning: 'The metadata of an image that is made empty is about to be zeroed.',
    firedBy: 'qcow2, when a whole image is made empty at once.',
    onDisk: 'The image is marked dirty; the old L1 table is already zero.',
    before: [],
    after: [],
  },
  l1_shrink_write_table: {
    meaning: 'The end of the L1 table is about to be zeroed.',
    firedBy: 'qcow2, when the image shrinks.',
    onDisk: 'The entries behind the new end still name their L2 tables.',
    before: [],
    after: ['l1_shrink_free_l2_clusters'],
  },
  l1_shrink_free_l2_clusters: {
    meaning: 'The L2 tables behind the new end are about to be freed.',
    firedBy: 'qcow2, when the image shrinks.',
    onDisk: 'Nothing names those tables; they are still counted. A stop here leaks them.',
    before: ['l1_shrink_write_table'],
    after: ['cluster_free'],
  },
  cor_write: {
    meaning: 'Data that was read from a backing file is about to be written to the image.',
    firedBy: 'a read with copy on read, on the node that has the backing file.',
    onDisk: 'The image does not have the clusters yet.',
    before: [],
    after: [],
  },
  cluster_alloc_space: {
    meaning: 'A new cluster is about to be zeroed in one go instead of copying zeroes around the guest data.',
    firedBy: 'qcow2, when what the write leaves out of a new cluster reads as zeroes and the file below can zero fast.',
    onDisk: 'The cluster is counted and has old bytes; no L2 entry names it.',
    before: ['cluster_alloc'],
    after: ['pwritev_zero', 'write_aio'],
  },
  none: {
    meaning: 'The image was opened; inject rules on it are active from the first request on.',
    firedBy: 'blkdebug itself, once, when it has opened its image.',
    onDisk: 'As opened.',
    before: [],
    after: [],
  },
};
