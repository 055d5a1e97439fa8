/** The path of a request as a list of the panel: its whole and its parts, what it waits for, and what waits for it. */
import type { PathStep, RequestPath } from '../../block/loop/request-path.ts';
import { requestName, requestText } from '../../util/compact.ts';
import { textWidth } from '../../util/text-width.ts';
import type { PanelList } from './lists.ts';
import { type Part, part } from './styled-line.ts';

interface PathRow {
  readonly relation: string;
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
    fields: [{ ideal: widest(({ relation }) => relation) }, { ideal: widest(whoText) }, { ideal: widest(rangeText) }],
    rows: shown.map(cellsOf),
    rest: all.length > shown.length ? [part(`and ${all.length - shown.length} more`, 'quiet')] : [],
  };
}

function rowsOf({ waits, heldUp, parent, parts }: RequestPath): PathRow[] {
  const [self, ...others] = waits;
  if (self === undefined) return [];
  return [
    { relation: '', step: self },
    ...(parent === null ? [] : [{ relation: 'part of', step: parent }]),
    ...parts.map((step) => ({ relation: 'its part', step })),
    ...others.map((step) => ({ relation: '\u2190 waits for', step })),
    ...heldUp.map((step) => ({ relation: '\u2192 holds up', step })),
  ];
}

function whoText({ step: { operation, request } }: PathRow): string {
  return requestName(operation, request);
}

function rangeText({ relation, step: { operation, guestOffset, bytes, waitsFor } }: PathRow): string {
  const request = requestText(operation.replace(/^aio_/, ''), guestOffset, bytes);
  return relation === '\u2192 holds up' ? `${request}, ${waitsFor}` : `${request}: ${waitsFor}`;
}

function cellsOf(row: PathRow): Part[][] {
  return [
    [part(row.relation, 'quiet')],
    [part(whoText(row), 'cyan')],
    [part(rangeText(row), row.relation === '' ? 'bold' : 'plain')],
  ];
}
