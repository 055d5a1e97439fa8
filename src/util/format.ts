/** Numbers as C's printf writes them in the C locale, and the human forms of sizes and times that qemu-io prints. */

/** `%.{digits}f`: halves go to the even digit, as glibc rounds; infinities and NaN in glibc's spelling. */
export function formatFixed(value: number, digits: number): string {
  const scale = SCALES[digits] ?? 0;
  const scaled = value * scale;
  const units = Math.round(scaled);
  // A product below 2^40 is exact to 2^-12: only what lies close to a half could be rounded wrongly.
  const isSure = scale > 0 && scaled >= 0 && scaled < 2 ** 40 && Math.abs(scaled - units) < 0.499;
  if (!isSure) return formatExactly(value, digits);
  const whole = Math.floor(units / scale);
  const fraction = units - whole * scale;
  // Zeroes behind the point are kept by a leading one.
  return fraction * 10 >= scale ? `${whole}.${fraction}` : `${whole}.${String(scale + fraction).slice(1)}`;
}

/**
 * Powers of ten by number of digits; sizes and rates need no others. Every report has two: `toFixed` is dear for them.
 */
const SCALES = [0, 10, 100, 1000, 10_000, 100_000, 1_000_000];

/** For any value, from its exact decimal digits. */
function formatExactly(value: number, digits: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? '-nan' : value > 0 ? 'inf' : '-inf';
  const rounded = value.toFixed(digits);
  // Only a multiple of 2^-(digits+1) can lie exactly between two results; toFixed takes the larger one then.
  if (!Number.isInteger(value * (2 << digits))) return rounded;
  const exact = value.toFixed(digits + 1);
  if (!exact.endsWith('5')) return rounded;
  const truncated = digits === 0 ? exact.slice(0, -2) : exact.slice(0, -1);
  return Number(truncated.at(-1)) % 2 === 0 ? truncated : rounded;
}

const UNITS = [' bytes', ' KiB', ' MiB', ' GiB', ' TiB', ' PiB', ' EiB'] as const;

/** A number of bytes in the largest unit that fits: "1.500 KiB", "64 KiB", "512 bytes". */
export function formatSize(bytes: number): string {
  let power = 0;
  let count = bytes;
  // Dividing by 1024 loses nothing. What is not a number goes to the end, too.
  while (!(count < 1024) && power < UNITS.length - 1) {
    count /= 1024;
    power += 1;
  }
  const text = formatFixed(count, power === 0 ? 6 : 3);
  // A fraction that starts with three zeroes is cut off.
  const trim = text.indexOf('.000');
  return text.slice(0, trim < 0 ? undefined : trim) + (UNITS[power] ?? '');
}

/** A time in nanoseconds: "00.12 sec", from one second on (or with `clockForm` always) "0:01:02.50". */
export function formatDuration(ns: number, clockForm: boolean): string {
  if (!clockForm && ns < 4_900_000) return '00.00 sec';
  const seconds = Math.floor(ns / 1e9);
  const fraction = (ns - seconds * 1e9) / 1e9;
  if (!clockForm && seconds === 0) return `${formatFixed(fraction, 2).padStart(5, '0')} sec`;
  const hours = Math.floor(seconds / 3600);
  const minutes = String(Math.floor((seconds % 3600) / 60)).padStart(2, '0');
  return `${hours}:${minutes}:${formatFixed((seconds % 60) + fraction, 2).padStart(5, '0')}`;
}
