/** How large the terminal is. */

/** The size now, in characters. */
export function terminalSize(): { columns: number; rows: number } {
  return { columns: process.stdout.columns, rows: process.stdout.rows };
}
