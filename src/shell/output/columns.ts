/** Columns that several of our tables have: a request, sizes, and how long something has lasted. */
import { ageText, compactBytes, partName, requestName } from '../../util/compact.ts';
import type { Column } from './table.ts';

/** How long something has lasted, in seconds with three decimals. */
export interface Age {
  readonly seconds: number;
}

/** Seconds from one moment to another, both in nanoseconds of the loop's clock. */
export function secondsBetween(sinceNs: number, nowNs: number): number {
  return Math.round((nowNs - sinceNs) / 1e6) / 1e3;
}

/** The age of a row: "3.2s", or in a pipe "3.216". */
export const sinceColumn: Column<Age> = {
  title: 'SINCE',
  text: ({ seconds }, brief) => (brief ? ageText(seconds * 1e9) : String(seconds)),
  alignRight: true,
};

/** A request that may be a part of another one, by their numbers; 0 is none. */
interface Named {
  readonly operation: string;
  readonly request: number;
  readonly parent?: number;
}

/** A request's short name: "w4"; for the eye also whose part it is: "w6 of w4". */
export const requestColumn: Column<Named> = {
  title: 'REQUEST',
  text: ({ operation, request, parent }, brief) => {
    if (request === 0) return '';
    return brief ? partName(operation, request, parent) : requestName(operation, request);
  },
};

/** The client of an export that asked for a request: a column only where there is one, as most sessions have none. */
export function clientColumns(
  rows: readonly { readonly client?: string }[],
): readonly Column<{ readonly client?: string }>[] {
  if (rows.every(({ client }) => client === undefined)) return [];
  return [{ title: 'CLIENT', text: ({ client = '' }) => client }];
}

/** The request that a part belongs to: a last column, in a pipe, where there is a part. */
export function parentColumns(rows: readonly Named[], isTerminal: boolean): readonly Column<Named>[] {
  if (isTerminal || rows.every(({ parent = 0 }) => parent === 0)) return [];
  return [
    { title: 'PART OF', text: ({ parent = 0, operation }) => (parent === 0 ? '' : requestName(operation, parent)) },
  ];
}

/** The columns of a request: its operation, and its range of the guest's disk. */
export const rangeColumns: readonly Column<{
  readonly operation: string;
  readonly guestOffset: number | null;
  readonly bytes: number | null;
}>[] = [
  { title: 'OPERATION', text: ({ operation }) => operation },
  { title: 'GUEST', text: ({ guestOffset }, brief) => sizeText(guestOffset, brief), alignRight: true },
  { title: 'LENGTH', text: ({ bytes }, brief) => sizeText(bytes, brief), alignRight: true },
];

function sizeText(bytes: number | null, brief: boolean): string {
  if (bytes === null) return '';
  return brief ? compactBytes(bytes) : String(bytes);
}
