/** Reads and writes of the guest's data. A request works on one table at a time, and one at most allocates clusters. */
import { Event } from '../../block/events/events.ts';
import { flush } from '../../block/request/flush.ts';
import { preadv } from '../../block/request/read.ts';
import { pwritev } from '../../block/request/write.ts';
import { alignDown, alignUp } from '../../util/align.ts';
import { assert } from '../../util/assert.ts';
import type { Steps } from '../../util/steps.ts';
import { clusterIndex, findClusters, type Mapping } from './find-clusters.ts';
import { type QedImage, waitsForAllocation } from './qed-image.ts';
import { Entry, L2Table, setEntry } from './l2-tables.ts';
import { updateHeader, writeL1, writeL2 } from './table-io.ts';

/** A request under way. */
export class Request {
  #table: L2Table | null = null;

  /** The L2 table that it works on. */
  get table(): L2Table | null {
    return this.#table;
  }

  /** Keeps a table in the cache until `release`. */
  hold(table: L2Table): void {
    this.#table = table;
    table.users += 1;
  }

  release(): void {
    if (this.#table !== null) this.#table.users -= 1;
    this.#table = null;
  }
}

/** Runs steps under the lock for a request, and lets the next one allocate in the end. */
function* asRequest<T>(image: QedImage, steps: (request: Request) => Steps<T>): Steps<T> {
  const request = new Request();
  yield image.lock.lock();
  try {
    return yield* steps(request);
  } finally {
    request.release();
    if (image.allocating === request) {
      image.allocating = null;
      if (image.allocationQueue.wakeOne() === null && image.needsCheck) image.needCheck.start();
    }
    image.lock.unlock();
  }
}

/** Fills `data` from `offset` of the guest's disk. */
export function readRange(image: QedImage, offset: number, data: Buffer): Steps<void> {
  return asRequest(image, function* (request) {
    for (let done = 0; done < data.length; ) {
      const position = offset + done;
      const mapping = yield* findClusters(image, request, position, data.length - done);
      const part = data.subarray(done, done + mapping.bytes);
      yield* image.lock.releasing(readPart(image, mapping, position, part));
      done += part.length;
    }
  });
}

function* readPart(image: QedImage, mapping: Mapping, position: number, data: Buffer): Steps<void> {
  if (mapping.kind === 'allocated') {
    yield image.fire(Event.READ_AIO);
    yield preadv(image.file, mapping.offset + image.intoCluster(position), data, 0);
  } else if (mapping.kind === 'zero') {
    data.fill(0);
  } else {
    yield* readBacking(image, position, data);
  }
}

function* readBacking(image: QedImage, position: number, data: Buffer): Steps<void> {
  const { backing } = image.node;
  if (backing === null) {
    data.fill(0);
    return;
  }
  yield image.fire(Event.READ_BACKING_AIO);
  yield preadv(backing, position, data, 0);
}

/** Writes `data` to the guest's disk; null writes zeroes, and whole clusters of them without space in the file. */
export function writeRange(image: QedImage, offset: number, data: Buffer | null, bytes: number): Steps<void> {
  return asRequest(image, function* (request) {
    for (let done = 0; done < bytes; ) {
      const position = offset + done;
      const mapping = yield* findClusters(image, request, position, bytes - done);
      const part = data?.subarray(done, done + mapping.bytes) ?? null;
      if (mapping.kind === 'allocated') {
        const stored = part ?? image.node.context.allocate(mapping.bytes);
        yield* image.lock.releasing(writeData(image, mapping.offset + image.intoCluster(position), stored));
      } else if (image.allocating !== request || image.isPlugged) {
        yield* takeTurn(image, request);
        // The tables may have changed meanwhile.
        continue;
      } else {
        yield* allocate(image, request, mapping, position, part);
      }
      done += mapping.bytes;
    }
  });
}

function* writeData(image: QedImage, offset: number, data: Buffer): Steps<void> {
  yield image.fire(Event.WRITE_AIO);
  yield pwritev(image.file, offset, data, 0);
}

/** Waits until no other request allocates; then this one may. */
function* takeTurn(image: QedImage, request: Request): Steps<void> {
  if (image.allocating === null) image.needCheck.cancel();
  while (image.allocating !== null || image.isPlugged) {
    image.lock.unlock();
    try {
      yield image.allocationQueue.wait(waitsForAllocation);
    } finally {
      yield image.lock.lock();
    }
  }
  image.allocating = request;
}

/** Writes to clusters that are not there yet: new ones for data, the mark of a zero cluster for zeroes. */
function* allocate(
  image: QedImage,
  request: Request,
  { kind, bytes }: Mapping,
  position: number,
  data: Buffer | null,
): Steps<void> {
  const count = image.clustersFor(image.intoCluster(position) + bytes);
  if (data === null && kind === 'zero') return;
  const cluster = data === null ? Entry.ZERO : image.allocateClusters(count);
  // With a backing file the data is flushed before its table, so that no check is needed.
  if (image.node.backing === null && !image.needsCheck) {
    image.needsCheck = true;
    yield* updateHeader(image);
  }
  if (data !== null) yield* image.lock.releasing(writeClusters(image, cluster, position, data));
  yield* link(image, request, kind, { position, count, cluster });
}

/** Writes data to new clusters, with what the backing file has around it. */
function* writeClusters(image: QedImage, cluster: number, position: number, data: Buffer): Steps<void> {
  const into = image.intoCluster(position);
  const end = position + data.length;
  yield* copyBacking(image, alignDown(position, image.clusterBytes), into, cluster);
  yield* copyBacking(image, end, alignUp(end, image.clusterBytes) - end, cluster + into + data.length);
  yield* writeData(image, cluster + into, data);
  // Tables that point to data that is not there yet would hide what the backing file has around it.
  if (image.node.backing !== null) yield flush(image.file.node);
}

function* copyBacking(image: QedImage, position: number, bytes: number, offset: number): Steps<void> {
  if (bytes === 0) return;
  const data = image.node.context.allocate(bytes);
  yield* readBacking(image, position, data);
  yield image.fire(Event.COW_WRITE);
  yield pwritev(image.file, offset, data, 0);
}

/** Makes clusters visible: in their L2 table, or in a new one that then becomes part of the L1 table. */
function* link(
  image: QedImage,
  request: Request,
  kind: Mapping['kind'],
  { position, count, cluster }: { position: number; count: number; cluster: number },
): Steps<void> {
  if (kind === 'no-table') {
    const offset = image.allocateClusters(image.header.tableClusters);
    request.release();
    request.hold(new L2Table(offset, image.node.context.allocate(image.tableBytes)));
  }
  const { table } = request;
  assert(table !== null, 'a request that links clusters has a table');
  const index = clusterIndex(image, position);
  // The count may be one too high: see `clustersFor`.
  const end = Math.min(index + count, image.tableEntries);
  for (let next = index; next < end; next++) {
    const value = cluster === Entry.ZERO ? cluster : cluster + (next - index) * image.clusterBytes;
    setEntry(table.bytes, next, value);
  }
  if (kind !== 'no-table') {
    yield* writeL2(image, table, index, end - index, false);
    return;
  }
  yield* writeL2(image, table, 0, image.tableEntries, true);
  yield* linkTable(image, request, table, position);
}

/** Enters a new L2 table into the L1 table. In memory it is there also if that cannot be written. */
function* linkTable(image: QedImage, request: Request, table: L2Table, position: number): Steps<void> {
  const index = Math.floor(position / image.l2Reach);
  setEntry(image.l1, index, table.offset);
  try {
    yield* writeL1(image, index, 1);
  } finally {
    request.release();
    request.hold(image.l2Cache.add(table));
  }
}
