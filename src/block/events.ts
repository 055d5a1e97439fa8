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

export type EventName = (typeof eventNames)[number];

/** An event's number: the index of its name in `eventNames`. */
export type DebugEvent = number & { readonly __brand: 'DebugEvent' };

/** Event numbers by name, in upper case: `Event.PWRITEV_DONE`. */
export const Event = Object.fromEntries(eventNames.map((name, index) => [name.toUpperCase(), index])) as {
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
