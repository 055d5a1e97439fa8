/** The inspector of a raw node: no metadata, but a place for every byte. */
import type { WatchedPlace } from '../../block/debug/port.ts';
import { BlockError } from '../../block/error.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import type { Inspector, InspectedRange, MapRun, MetadataCopy, Watchable, Way } from '../../block/inspect.ts';
import { Errno } from '../../util/errno.ts';

/** Where the image lies in its file. */
interface Window {
  readonly offsetBytes: number;
}

/** Looks at one node. */
export class RawInspector implements Inspector {
  readonly structures = [];
  readonly #node: BlockNode<Window>;

  constructor(node: BlockNode<Window>) {
    this.#node = node;
  }

  get #file(): BlockNode | null {
    return this.#node.file?.node ?? null;
  }

  where(guest: number): Way {
    const at = guest + this.#node.state.offsetBytes;
    const node = this.#file;
    return {
      steps: [{ step: 'data', index: null, at, entry: null, disk: null, cache: null, meaning: 'in the file' }],
      next: node === null ? null : { node, offset: at },
    };
  }

  /** All of the window is the guest's. */
  who({ offset, bytes }: InspectedRange, tell: Parameters<Inspector['who']>[1]): undefined {
    const { offsetBytes } = this.#node.state;
    const start = Math.max(offset, offsetBytes);
    const end = Math.min(offset + bytes, offsetBytes + this.#node.getLength());
    const owner = {
      owner: 'data',
      snapshot: null,
      guest: start - offsetBytes,
      offset: start,
      bytes: end - start,
      entryAt: null,
    };
    tell({
      offset,
      bytes,
      refcount: null,
      diskRefcount: null,
      owners: end > start ? [{ ...owner, known: 'both' }] : [],
    });
  }

  map({ offset, bytes }: InspectedRange, tell: (run: MapRun) => void): undefined {
    const host = offset + this.#node.state.offsetBytes;
    tell({ offset, bytes, kind: 'data', host, node: this.#file, isPending: false, mayBeHole: true });
  }

  watched(what: Watchable, { offset, bytes }: InspectedRange): WatchedPlace[] {
    if (what !== 'range') throw new BlockError(Errno.ENOTSUP, `raw images have no such thing: watch range`);
    return [{ what: 'data', offset: offset + this.#node.state.offsetBytes, bytes }];
  }

  unwritten(): [] {
    return [];
  }

  copy(): MetadataCopy {
    return { bytes: 0 };
  }

  changes(): undefined {}
}
