/** The debug events of the block layer (QAPI's BlkdebugEvent), by name and by number. */

/** All event names in QAPI's order; an event's number is its index here. */
export const eventNames = [
  'l1_update',
  'l1_grow_alloc_table',
  'l1_grow_write_table',
  'l1_grow_activate_table',
  'l2_load',
  'l2_update',
  'l2_update_compressed',
  'l2_alloc_cow_read',
  'l2_alloc_write',
  'read_aio',
  'read_backing_aio',
  'read_compressed',
  'write_aio',
  'write_compressed',
  'vmstate_load',
  'vmstate_save',
  'cow_read',
  'cow_write',
  'reftable_load',
  'reftable_grow',
  'reftable_update',
  'refblock_load',
  'refblock_update',
  'refblock_update_part',
  'refblock_alloc',
  'refblock_alloc_hookup',
  'refblock_alloc_write',
  'refblock_alloc_write_blocks',
  'refblock_alloc_write_table',
  'refblock_alloc_switch_table',
  'cluster_alloc',
  'cluster_alloc_bytes',
  'cluster_free',
  'flush_to_os',
  'flush_to_disk',
  'pwritev_rmw_head',
  'pwritev_rmw_after_head',
  'pwritev_rmw_tail',
  'pwritev_rmw_after_tail',
  'pwritev',
  'pwritev_zero',
  'pwritev_done',
  'empty_image_prepare',
  'l1_shrink_write_table',
  'l1_shrink_free_l2_clusters',
  'cor_write',
  'cluster_alloc_space',
  'none',
] as const;

/** An event's name as rules and commands write it; its number is its place in `eventNames`. */
export type EventName = (typeof eventNames)[number];

/** An event's number: the index of its name in `eventNames`. */
export type DebugEvent = number & { readonly __brand: 'DebugEvent' };

/**
 * Event numbers by name, in upper case: `Event.PWRITEV_DONE`. Written out, so that no start of the program makes them.
 */
export const Event = {
  L1_UPDATE: 0,
  L1_GROW_ALLOC_TABLE: 1,
  L1_GROW_WRITE_TABLE: 2,
  L1_GROW_ACTIVATE_TABLE: 3,
  L2_LOAD: 4,
  L2_UPDATE: 5,
  L2_UPDATE_COMPRESSED: 6,
  L2_ALLOC_COW_READ: 7,
  L2_ALLOC_WRITE: 8,
  READ_AIO: 9,
  READ_BACKING_AIO: 10,
  READ_COMPRESSED: 11,
  WRITE_AIO: 12,
  WRITE_COMPRESSED: 13,
  VMSTATE_LOAD: 14,
  VMSTATE_SAVE: 15,
  COW_READ: 16,
  COW_WRITE: 17,
  REFTABLE_LOAD: 18,
  REFTABLE_GROW: 19,
  REFTABLE_UPDATE: 20,
  REFBLOCK_LOAD: 21,
  REFBLOCK_UPDATE: 22,
  REFBLOCK_UPDATE_PART: 23,
  REFBLOCK_ALLOC: 24,
  REFBLOCK_ALLOC_HOOKUP: 25,
  REFBLOCK_ALLOC_WRITE: 26,
  REFBLOCK_ALLOC_WRITE_BLOCKS: 27,
  REFBLOCK_ALLOC_WRITE_TABLE: 28,
  REFBLOCK_ALLOC_SWITCH_TABLE: 29,
  CLUSTER_ALLOC: 30,
  CLUSTER_ALLOC_BYTES: 31,
  CLUSTER_FREE: 32,
  FLUSH_TO_OS: 33,
  FLUSH_TO_DISK: 34,
  PWRITEV_RMW_HEAD: 35,
  PWRITEV_RMW_AFTER_HEAD: 36,
  PWRITEV_RMW_TAIL: 37,
  PWRITEV_RMW_AFTER_TAIL: 38,
  PWRITEV: 39,
  PWRITEV_ZERO: 40,
  PWRITEV_DONE: 41,
  EMPTY_IMAGE_PREPARE: 42,
  L1_SHRINK_WRITE_TABLE: 43,
  L1_SHRINK_FREE_L2_CLUSTERS: 44,
  COR_WRITE: 45,
  CLUSTER_ALLOC_SPACE: 46,
  NONE: 47,
} as const satisfies { [Name in EventName as Uppercase<Name>]: number } as {
  readonly [Name in EventName as Uppercase<Name>]: DebugEvent;
};

/**
 * The dotted spellings of the 2014 manual: each names the event that today has an underscore in the dot's place.
 * Observed with qemu-io 7.2.22: the program itself no longer takes them, so they are ours to offer.
 */
const byName: ReadonlyMap<string, DebugEvent> = new Map(
  eventNames.map((name, index) => [name as string, index as DebugEvent]),
);

/** The event of this name (dots count as underscores), or undefined. */
export function eventByName(name: string): DebugEvent | undefined {
  return byName.get(name) ?? (name.includes('.') ? byName.get(name.replaceAll('.', '_')) : undefined);
}

/** The name of an event. */
export function eventName(event: DebugEvent): EventName {
  return eventNames[event] as EventName;
}
