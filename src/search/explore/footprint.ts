/** Footprints: what one step of a request touched. Two steps whose footprints do not meet may change their order. */

/** A range in bytes of the thing whose name it is kept under. */
interface Touch {
  readonly start: number;
  readonly end: number;
  /** Others may touch it at the same time if they do not change it either. */
  readonly changes: boolean;
}

const EVERYWHERE = Number.MAX_SAFE_INTEGER;

/** All that one step touched. */
export class Footprint {
  readonly #touches = new Map<string, Touch[]>();

  /** Notes a range; offset and length in bytes. */
  add(name: string, offset: number, bytes: number, changes: boolean): void {
    const end = Math.min(offset + bytes, EVERYWHERE);
    const known = this.#touches.get(name);
    if (known === undefined) this.#touches.set(name, [{ start: offset, end, changes }]);
    else if (!known.some((touch) => covers(touch, offset, end, changes))) {
      known.push({ start: offset, end, changes });
    }
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

function covers(touch: Touch, start: number, end: number, changes: boolean): boolean {
  return touch.start <= start && touch.end >= end && (touch.changes || !changes);
}

function clash(one: Touch, two: Touch): boolean {
  return (one.changes || two.changes) && one.start < two.end && two.start < one.end;
}
