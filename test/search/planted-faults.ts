/**
 * Faults planted in the driver of qcow2, as objects of its nodes that misbehave: what the searches are to find. Worlds
 * with such a driver are like those of the program otherwise.
 */
import type { Driver, RegisteredDriver } from '../../src/block/driver.ts';
import { BlockError } from '../../src/block/error.ts';
import { type DebugEvent, Event } from '../../src/block/events/events.ts';
import type { BlockNode } from '../../src/block/graph/node.ts';
import { RequestTracker, type TrackedRequest } from '../../src/block/request/serialise.ts';
import { drivers } from '../../src/drivers/index.ts';
import { Incompatible } from '../../src/drivers/qcow2/format/features.ts';
import type { Qcow2Image } from '../../src/drivers/qcow2/tables/image.ts';
import type { TableCache } from '../../src/drivers/qcow2/tables/table-cache.ts';
import { type Scenario, World } from '../../src/search/world.ts';
import { commandTable } from '../../src/shell/commands/index.ts';
import { Errno } from '../../src/util/errno.ts';
import { type Pending, run, type Steps } from '../../src/util/steps.ts';
import { plantEntriesFirst } from '../model/entries-first.ts';

type Qcow2 = Driver<Qcow2Image>;

/** A fault: the driver with it. */
export type Plant = (driver: Qcow2) => Qcow2;

/** A world whose qcow2 has a fault; without one it is that of the program. */
export function plantedWorld(scenario: Scenario, plant: Plant | null): World {
  const planted = plant === null ? drivers : drivers.map((driver) => withPlant(driver, plant));
  return new World(scenario, { drivers: planted, commands: commandTable });
}

function withPlant(driver: RegisteredDriver, plant: Plant): RegisteredDriver {
  if (driver.formatName !== 'qcow2' || !('load' in driver)) return driver;
  return { ...driver, load: async () => plant((await driver.load()) as Qcow2) as Driver };
}

/** A fault of each image that is opened. */
function inImage(plant: (image: Qcow2Image) => void): Plant {
  return (driver) => ({
    ...driver,
    async open(node, options, flags) {
      await driver.open(node, options, flags);
      plant(node.state);
    },
  });
}

/** A fault of a cache, and of those that take its place. */
function inCache(name: 'l2Cache' | 'refcountCache', plant: (cache: TableCache, image: Qcow2Image) => void): Plant {
  return inImage((image) => {
    let cache = image[name];
    plant(cache, image);
    Object.defineProperty(image, name, {
      get: () => cache,
      set: (next: TableCache) => {
        cache = next;
        plant(cache, image);
      },
    });
  });
}

/** Requests that overlap on a node do not wait for each other. */
class CarelessTracker extends RequestTracker {
  override makeSerialising(request: TrackedRequest, align: number): undefined {
    this.tryMakeSerialising(request, align);
    return undefined;
  }

  override waitForSerialising(): undefined {
    return undefined;
  }
}

/** The lock is given up and taken again where an event fires. */
function lockGivenUpAt(event: DebugEvent): Plant {
  return inImage((image) => {
    const fire = image.fire.bind(image);
    image.fire = (fired) => {
      if (fired !== event || !image.lock.isLocked) return fire(fired);
      image.lock.unlock();
      return run(takenAgain(image, fire(fired)));
    };
  });
}

function* takenAgain(image: Qcow2Image, told: Pending): Steps<void> {
  try {
    yield told;
  } finally {
    yield image.lock.lock();
  }
}

/** Writers that wait for a write go on, and others pass it, before it has entered its clusters. */
function wakeEarly(image: Qcow2Image): void {
  const { ordering } = image;
  image.ordering = {
    ...ordering,
    writePart(own, guest, data, allocation) {
      for (let part = allocation.parts; part !== null; part = part.next) {
        own.pendingUpdates.delete(part);
        part.dependents?.wakeAll();
      }
      return ordering.writePart(own, guest, data, allocation);
    },
  };
}

function carelessFile({ node }: Qcow2Image): void {
  const file = node.file?.node as BlockNode;
  file.requests = new CarelessTracker(file);
}

/** Faults of order, each to be found by orders of requests. */
export const orderingFaults: Readonly<Record<string, Plant>> = {
  'requests of the file that overlap do not wait for each other': inImage(carelessFile),
  'entries are made before the data is there': inImage(({ node }) => plantEntriesFirst(node as BlockNode)),
  'a write does not wait for another that takes its cluster': inImage((image) => {
    image.pendingUpdates.touching = () => [];
  }),
  'writes that wait go on too early': inImage(wakeEarly),
  'the lock is given up before a cluster is searched': lockGivenUpAt(Event.CLUSTER_ALLOC),
  'the lock is given up between search and count of a cluster': lockGivenUpAt(Event.REFBLOCK_ALLOC),
  'the lock is given up while an L2 table is made': lockGivenUpAt(Event.L2_ALLOC_WRITE),
  'the lock is given up while an L2 table is loaded': lockGivenUpAt(Event.L2_LOAD),
  'the lock is given up while the L1 table grows': lockGivenUpAt(Event.L1_GROW_ALLOC_TABLE),
  'the lock is given up while a refcount block is made': lockGivenUpAt(Event.REFBLOCK_ALLOC_HOOKUP),
};

/** A request that has begun ends by a broken invariant. */
export const brokenInvariant: Plant = inImage((image) => {
  image.ordering = {
    ...image.ordering,
    writePart(own) {
      const told = own.fire(Event.WRITE_AIO);
      return told === undefined ? breakInvariant() : told.then(breakInvariant);
    },
  };
});

function breakInvariant(): never {
  throw new Error('assertion failed: no data is written');
}

function swallowed(pending: () => Pending): Pending {
  return run(swallowing(pending));
}

/** ENOTSUP is no error, but asks for another way. */
function* swallowing(pending: () => Pending): Steps<void> {
  try {
    yield pending();
  } catch (error) {
    if (!(error instanceof BlockError) || error.errno === Errno.ENOTSUP) throw error;
  }
}

function swallowWrites(cache: TableCache): void {
  const write = cache.write.bind(cache);
  cache.write = () => swallowed(write);
}

function swallowFlushes(cache: TableCache): void {
  const flush = cache.flush.bind(cache);
  cache.flush = () => swallowed(flush);
}

/** A table that cannot be read counts as an empty one. */
function swallowLoads(cache: TableCache): void {
  const get = cache.get.bind(cache);
  function* getOrMake(offset: number, fromDisk: boolean): Steps<number> {
    try {
      return yield get(offset, fromDisk);
    } catch (error) {
      if (!(error instanceof BlockError) || !fromDisk) throw error;
      const slot: number = yield get(offset, false);
      cache.table(slot).fill(0);
      return slot;
    }
  }
  cache.get = (offset, fromDisk) => run(getOrMake(offset, fromDisk !== false));
}

function swallowData(image: Qcow2Image): void {
  const { ordering } = image;
  image.ordering = { ...ordering, writePart: (...part) => swallowed(() => ordering.writePart(...part)) };
}

/** Errors that are not passed on, each to be found by errors at every event. */
export const swallowedErrors: Readonly<Record<string, Plant>> = {
  'of a write of data': inImage(swallowData),
  'of L2 tables that a flush writes': inCache('l2Cache', swallowWrites),
  'of refcounts that have to be on disk first': inCache('refcountCache', swallowFlushes),
  'of an L2 table that is loaded': inCache('l2Cache', swallowLoads),
  'of a change of the length': (driver) => ({
    ...driver,
    truncate: (...request) => swallowed(() => driver.truncate?.(...request)),
  }),
  'of a zero write': (driver) => ({
    ...driver,
    pwriteZeroes: (...request) => swallowed(() => driver.pwriteZeroes?.(...request)),
  }),
};

/** Flushes of the file that are left out where `isDropped` says so, given the latest event and whether it closes. */
function dropFlushes(isDropped: (image: Qcow2Image, latest: DebugEvent, isClosing: boolean) => boolean): Plant {
  return (driver) => {
    let isClosing = false;
    const planted = inImage((image) => {
      const fire = image.fire.bind(image);
      const { ordering } = image;
      let latest: DebugEvent = Event.NONE;
      isClosing = false;
      image.fire = (event) => {
        latest = event;
        return fire(event);
      };
      image.ordering = {
        ...ordering,
        flushFile: (own) => (isDropped(own, latest, isClosing) ? undefined : ordering.flushFile(own)),
      };
    })(driver);
    return {
      ...planted,
      async close(node) {
        isClosing = true;
        await planted.close?.(node);
      },
    };
  };
}

/** Caches that forget what has to be on disk before their tables. */
function forgetDependencies(name: 'dependOn' | 'dependOnFlush'): Plant {
  const forget = (cache: TableCache): void => {
    cache[name] = () => undefined;
  };
  return (driver) => inCache('l2Cache', forget)(inCache('refcountCache', forget)(driver));
}

/** Barriers that are left out, each with a verdict on a state that a loss of power can leave then. */
export const droppedBarriers: Readonly<Record<string, { readonly plant: Plant; readonly verdict: string }>> = {
  'between refcounts and the entries that stand on them': { plant: forgetDependencies('dependOn'), verdict: 'corrupt' },
  'between data that was copied and the entries that show it': {
    plant: forgetDependencies('dependOnFlush'),
    verdict: 'wrong data',
  },
  'between a longer L1 table and the header that points to it': {
    plant: dropFlushes((_image, latest) => growingL1.has(latest)),
    verdict: 'corrupt',
  },
  'between the dirty bit and entries without refcounts': {
    plant: dropFlushes((image, _latest, isClosing) => {
      return image.useLazyRefcounts && (image.incompatible & Incompatible.DIRTY) === 0n && !isClosing;
    }),
    verdict: 'corrupt',
  },
  'between refcounts and the clean bit of a close': {
    plant: dropFlushes((_image, _latest, isClosing) => isClosing),
    verdict: 'corrupt',
  },
};

const growingL1: ReadonlySet<DebugEvent> = new Set([Event.L1_GROW_WRITE_TABLE, Event.L1_GROW_ACTIVATE_TABLE]);
