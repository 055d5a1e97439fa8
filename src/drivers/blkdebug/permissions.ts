/** Permissions that the node takes on its child, or does not share, beyond what its own users need. */
import { invalidArgument } from '../../block/error.ts';
import { Perm } from '../../block/flags.ts';
import type { OptionValue } from '../../block/options/options.ts';

/** Bits of `Perm`. */
export interface PermissionOverrides {
  readonly take: number;
  readonly unshare: number;
}

const permissionsByName: ReadonlyMap<string, number> = new Map([
  ['consistent-read', Perm.CONSISTENT_READ],
  ['write', Perm.WRITE],
  ['write-unchanged', Perm.WRITE_UNCHANGED],
  ['resize', Perm.RESIZE],
]);

/**
 * The permissions in a list of names, given as options `0`, `1`, … EINVAL, with QEMU's texts, for anything that is not
 * such a list.
 */
export function parsePermissions(options: ReadonlyMap<string, OptionValue>): number {
  if (options.size === 0) return 0;
  const list = nest(options);
  if (!Array.isArray(list)) throw invalidArgument("Invalid parameter type for '<anonymous>', expected: array");
  let bits = 0;
  for (const [index, name] of list.entries()) {
    if (typeof name !== 'string') throw invalidArgument(`Invalid parameter type for '[${index}]', expected: string`);
    const bit = permissionsByName.get(name);
    if (bit === undefined) throw invalidArgument(`Parameter 'null' does not accept value '${name}'`);
    bits |= bit;
  }
  return bits;
}

type Nested = OptionValue | readonly Nested[] | ReadonlyMap<string, Nested>;

/** Turns flat keys (`0.x`, `1`) into lists and maps. Two dots stand for one within a key. */
function nest(flat: ReadonlyMap<string, OptionValue>): readonly Nested[] | ReadonlyMap<string, Nested> {
  const scalars = new Map<string, Nested>();
  const groups = new Map<string, Map<string, OptionValue>>();
  for (const [key, value] of flat) {
    const { head, rest } = splitKey(key);
    const group = groups.get(head);
    if (scalars.has(head) || (group !== undefined && rest === null)) {
      throw invalidArgument('Cannot mix scalar and non-scalar keys');
    }
    if (rest === null) scalars.set(head, value);
    else if (group === undefined) groups.set(head, new Map([[rest, value]]));
    else group.set(rest, value);
  }
  const members = scalars;
  for (const [head, group] of groups) members.set(head, nest(group));
  return isList(members) ? inOrder(members) : members;
}

function splitKey(key: string): { head: string; rest: string | null } {
  const [head = ''] = /^(?:[^.]|\.\.)*/.exec(key) ?? [];
  const rest = head.length < key.length ? key.slice(head.length + 1) : null;
  return { head: head.replaceAll('..', '.'), rest };
}

function isList(members: ReadonlyMap<string, Nested>): boolean {
  const indices = [...members.keys()].filter(isIndex).map(Number);
  if (indices.length === 0) return false;
  if (indices.length < members.size) throw invalidArgument('Cannot mix list and non-list keys');
  const largest = Math.max(-1, ...indices);
  if (indices.length !== largest + 1) {
    const seen = `saw ${indices.length} elements but ${largest} largest index`;
    throw invalidArgument(`List indices are not contiguous, ${seen}`);
  }
  return true;
}

function isIndex(key: string): boolean {
  return /^\s*[+-]?\d+$/.test(key) && BigInt.asIntN(64, BigInt(key)) === BigInt(key);
}

function inOrder(members: ReadonlyMap<string, Nested>): readonly Nested[] {
  return Array.from(members, (_, index) => {
    const member = members.get(String(index));
    if (member === undefined) throw invalidArgument(`Missing list index ${index}`);
    return member;
  });
}
