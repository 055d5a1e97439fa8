/** The path of a request as a list of the panel: its whole and its parts, what it waits for, and what waits for it. */
import type { PathStep, RequestPath } from '../../block/loop/request-path.ts';
import { requestName, requestText } from '../../util/compact.ts';
import { textWidth } from '../../util/text-width.ts';
import type { PanelList } from './lists.ts';
import { type Part, part } from './styled-line.ts';

/** The relation of a request to the one whose path it is: a sign for narrow panels, and words. */
interface Relation {
  readonly sign: string;
  readonly words: string;
}

const relations = {
  itself: { sign: '', words: '' },
  partOf: { sign: '\u2191', words: 'part of' },
  itsPart: { sign: '\u2193', words: 'its part' },
  waitsFor: { sign: '\u2190', words: 'waits for' },
  holdsUp: { sign: '\u2192', words: 'holds up' },
} as const satisfies Record<string, Relation>;

interface PathRow {
  readonly relation: Relation;
  readonly step: PathStep;
}

/** The rows of a path, at most `rows`; null for no request. */
export function pathList(path: RequestPath | null, rows: number): PanelList {
  const title = [part('PATH', 'bold')];
  const all = path === null ? [] : rowsOf(path);
  if (all.length === 0) return { title, titleEnd: [], fields: [], rows: [], rest: [part('no request', 'quiet')] };
  const shown = all.slice(0, all.length > rows ? rows - 1 : rows);
  const widest = (text: (row: PathRow) => string): number => Math.max(0, ...shown.map((row) => textWidth(text(row))));
  return {
    title,
    titleEnd: [],
    fields: [
      { ideal: widest(({ relation }) => relation.sign) },
      { ideal: widest(({ relation }) => relation.words) },
      { ideal: widest(whoText) },
      { ideal: widest(rangeText) },
    ],
    rows: shown.map(cellsOf),
    rest: all.length > shown.length ? [part(`and ${all.length - shown.length} more`, 'quiet')] : [],
  };
}

function rowsOf({ waits, heldUp, parent, parts }: RequestPath): PathRow[] {
  const [self, ...others] = waits;
  if (self === undefined) return [];
  return [
    { relation: relations.itself, step: self },
    ...(parent === null ? [] : [{ relation: relations.partOf, step: parent }]),
    ...parts.map((step) => ({ relation: relations.itsPart, step })),
    ...others.map((step) => ({ relation: relations.waitsFor, step })),
    ...heldUp.map((step) => ({ relation: relations.holdsUp, step })),
  ];
}

function whoText({ step: { operation, request } }: PathRow): string {
  return requestName(operation, request);
}

function rangeText({ relation, step: { operation, guestOffset, bytes, waitsFor } }: PathRow): string {
  const request = requestText(operation.replace(/^aio_/, ''), guestOffset, bytes);
  return relation === relations.holdsUp ? `${request}, ${waitsFor}` : `${request}: ${waitsFor}`;
}

function cellsOf(row: PathRow): Part[][] {
  return [
    [part(row.relation.sign, 'quiet')],
    [part(row.relation.words, 'quiet')],
    [part(whoText(row), 'cyan')],
    [part(rangeText(row), row.relation === relations.itself ? 'bold' : 'plain')],
  ];
}
