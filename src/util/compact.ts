/** Sizes and ages in few characters, for people. */

const units = [
  [2 ** 40, 'T'],
  [2 ** 30, 'G'],
  [2 ** 20, 'M'],
  [2 ** 10, 'k'],
] as const;

/** Bytes as a user types them: "64k", "1536", "3G". Exact always. */
export function compactBytes(bytes: number): string {
  for (const [unit, suffix] of units) {
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit}${suffix}`;
  }
  return String(bytes);
}

/** Nanoseconds as "0.4s", "12s", "3m07", "2h11". */
export function ageText(ns: number): string {
  const seconds = Math.max(0, ns) / 1e9;
  if (seconds < 9.95) return `${seconds.toFixed(1)}s`;
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
  return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, '0')}`;
}
