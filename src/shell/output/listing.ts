/** Rows of an inspector as our commands show them: a table on a terminal, columns in a pipe, JSON with `-j`. */
import type { Cell, Field, Row } from '../../block/inspect.ts';
import { compactBytes } from '../../util/compact.ts';
import type { SessionState } from '../session-state.ts';
import { type Column, printTable } from './table.ts';

/** So many rows are aligned with each other: a table may be longer than memory. */
const BLOCK_ROWS = 1000;

/** Takes rows one by one and prints them. */
export class Listing {
  readonly #session: SessionState;
  readonly #columns: readonly Column<Row>[];
  readonly #json: boolean;
  readonly #none: string;
  #rows: Row[] = [];
  #hasPrinted = false;

  /** `none`: the text on a terminal if there are no rows. */
  constructor(session: SessionState, fields: readonly Field[], { json, none }: { json: boolean; none: string }) {
    this.#session = session;
    this.#json = json;
    this.#none = none;
    const { isTerminal } = session.output;
    this.#columns = fields.filter(({ isExact }) => isExact !== true || !isTerminal).map(columnOf);
  }

  /** Adds a row; it is printed with others. */
  add(row: Row): void {
    this.#rows.push(row);
    if (this.#rows.length >= BLOCK_ROWS) this.#print();
  }

  /** Prints what is left. */
  end(): void {
    const { output } = this.#session;
    if (this.#rows.length > 0 || (!this.#hasPrinted && !this.#json)) this.#print();
    if (this.#json) output.stdout(this.#hasPrinted ? ']\n' : '[]\n');
  }

  #print(): void {
    if (this.#json) {
      const text = this.#rows.map((row) => JSON.stringify(row)).join(',');
      this.#session.output.stdout((this.#hasPrinted ? ',' : '[') + text);
    } else {
      printTable(this.#session, this.#rows, this.#columns, { json: false, none: this.#none });
    }
    this.#hasPrinted = true;
    this.#rows = [];
  }
}

function columnOf({ key, title, unit, unlessAs }: Field): Column<Row> {
  const text = (row: Row, brief: boolean): string => {
    const value = row[key] ?? null;
    if (brief && unlessAs !== undefined && value === row[unlessAs]) return '';
    return cellText(value, unit, brief);
  };
  return { title, text, alignRight: unit === 'bytes' };
}

function cellText(value: Cell, unit: Field['unit'], brief: boolean): string {
  if (value === null) return '';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string' || unit === undefined || !brief) return String(value);
  return unit === 'offset' ? `0x${value.toString(16)}` : compactBytes(value);
}
