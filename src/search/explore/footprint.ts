/** Footprints: what one step of a request touched. Two steps whose footprints do not meet may change their order. */

/** A range in bytes of the thing whose name it is kept under. */
interface Touch {
  readonly start: number;
  readonly end: number;
  /** Others may touch it at the same time if they do not change it either. */
  readonly changes: boolean;
  /** The locks that are held meanwhile, by name. */
  readonly locks: readonly string[];
}

const EVERYWHERE = Number.MAX_SAFE_INTEGER;

/** All that one step touched. */
export class Footprint {
  readonly #touches = new Map<string, Touch[]>();

  /** Notes a range; offset and length in bytes. `locks`: the names of locks that are held. */
  add(name: string, offset: number, bytes: number, changes: boolean, locks: readonly string[] = []): void {
    const touch = { start: offset, end: Math.min(offset + bytes, EVERYWHERE), changes, locks };
    const known = this.#touches.get(name);
    if (known === undefined) this.#touches.set(name, [touch]);
    else if (!known.some((other) => covers(other, touch))) known.push(touch);
  }

  /** Notes something that has no parts. */
  addWhole(name: string, changes: boolean): void {
    this.add(name, 0, EVERYWHERE, changes);
  }

  /** Whether the order of the two steps can make a difference. */
  meets(other: Footprint): boolean {
    for (const [name, touches] of this.#touches) {
      const others = other.#touches.get(name);
      if (others !== undefined && touches.some((one) => others.some((two) => clash(one, two)))) return true;
    }
    return false;
  }
}

function covers(wide: Touch, { start, end, changes, locks }: Touch): boolean {
  const isWide = wide.start <= start && wide.end >= end && (wide.changes || !changes);
  return isWide && wide.locks.every((lock) => locks.includes(lock));
}

function clash(one: Touch, two: Touch): boolean {
  if (!(one.changes || two.changes) || one.start >= two.end || two.start >= one.end) return false;
  // One lock keeps the two apart: its own touches tell what their order is.
  return !one.locks.some((lock) => two.locks.includes(lock));
}
