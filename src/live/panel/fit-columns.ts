/**
 * Shares the width of a line among the columns of several lists: nothing is cut as long as another list has room left.
 */

/** A column that gives up room when there is too little: down to `to` cells, or altogether if that is 0. */
export interface Concession {
  readonly list: number;
  readonly column: number;
  readonly to: number;
}

/** The cells that a list of these columns takes, with one between two of them. */
export function listWidth(columns: readonly number[]): number {
  const shown = columns.filter((width) => width > 0);
  return shown.reduce((sum, width) => sum + width, Math.max(0, shown.length - 1));
}

/**
 * The widths of the columns of all lists in `cells` cells. They begin with what each can use; concessions are made in
 * their order until all fit, and what the last one leaves over goes back to those before it.
 */
export function fitColumns(
  ideals: readonly (readonly number[])[],
  concessions: readonly Concession[],
  cells: number,
): number[][] {
  const widths = ideals.map((columns) => [...columns]);
  const room = (): number => cells - widths.reduce((sum, columns) => sum + listWidth(columns), 0);
  const made: Concession[] = [];
  for (const concession of concessions) {
    const missing = -room();
    if (missing <= 0) break;
    const { list, column, to } = concession;
    const columns = widths[list];
    const width = columns?.[column] ?? 0;
    if (columns === undefined || width <= to) continue;
    columns[column] = to === 0 ? 0 : Math.max(to, width - missing);
    made.push(concession);
  }
  for (const { list, column } of made.reverse()) {
    const columns = widths[list];
    const width = columns?.[column] ?? 0;
    if (columns === undefined || width === 0) continue;
    columns[column] = Math.min(ideals[list]?.[column] ?? 0, width + Math.max(0, room()));
  }
  return widths;
}
