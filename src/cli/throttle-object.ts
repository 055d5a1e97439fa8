/** The object `throttle-group`: limits of requests and bytes in a second, which the nodes of a group share. */
import { invalidArgument } from '../block/error.ts';
import type { JsonValue } from '../block/options/json.ts';
import { type Bucket, bucketNames, type ThrottleGroup } from '../block/throttle-limits.ts';
import { parseSigned } from '../util/parse-number.ts';

const VALUE_MAX = 10n ** 15n;
const UINT_MAX = 2n ** 32n - 1n;
const SIZE_KEY = 'iops-size';

/** Keys of a limit, and of its burst: how fast, and for how many seconds. */
const suffixes = { average: '', burst: '-max', burstSeconds: '-max-length' } as const;
type Part = keyof typeof suffixes;

const limitKeys: ReadonlySet<string> = new Set([
  ...bucketNames.flatMap((name) => Object.values(suffixes).map((suffix) => name + suffix)),
  SIZE_KEY,
]);

/** The properties by their names, for help: the limits together, and each one by itself. */
export const throttleProperties: Readonly<Record<string, string>> = Object.fromEntries([
  ['limits', 'ThrottleLimits'],
  // Sorted with the sign that follows, as QEMU prints them.
  ...[...limitKeys]
    .map((key) => `${key}=`)
    .sort()
    .map((key) => [`x-${key.slice(0, -1)}`, 'int']),
]);

/** Takes the properties of a group out. The function returned makes it; both throw EINVAL with QEMU's texts. */
export function readThrottleGroup(properties: Map<string, JsonValue>, isJson: boolean): () => ThrottleGroup {
  const integer = isJson ? integerOfJson : integerOfText;
  const together = takeLimits(properties, integer);
  const alone = new Map<string, bigint>();
  for (const key of limitKeys) {
    const value = properties.get(`x-${key}`);
    properties.delete(`x-${key}`);
    if (value !== undefined) alone.set(key, integer(`x-${key}`, value));
  }
  return () => {
    for (const [key, value] of together) {
      if (isLength(key) && value > UINT_MAX) {
        throw invalidArgument(`${key} value must be in the range [0, ${UINT_MAX}]`);
      }
    }
    for (const [key, value] of alone) {
      if (value < 0n) throw invalidArgument('Property values cannot be negative');
      // So it is spelled in QEMU 7.2.
      if (isLength(key) && value > UINT_MAX) {
        throw invalidArgument(`x-${key} value must be in therange [0, ${UINT_MAX}]`);
      }
    }
    return makeGroup((key) => alone.get(key) ?? together.get(key));
  };
}

function takeLimits(properties: Map<string, JsonValue>, integer: IntegerReader): Map<string, bigint> {
  const limits = new Map<string, bigint>();
  const nested = properties.get('limits');
  properties.delete('limits');
  if (nested !== undefined && !(nested instanceof Map)) {
    throw invalidArgument("Invalid parameter type for 'limits', expected: object");
  }
  const given = new Map(nested);
  for (const [key, value] of properties) {
    if (!key.startsWith('limits.')) continue;
    properties.delete(key);
    given.set(key.slice('limits.'.length), value);
  }
  for (const key of limitKeys) {
    const value = given.get(key);
    given.delete(key);
    if (value !== undefined) limits.set(key, integer(`limits.${key}`, value));
  }
  const [unexpected] = given.keys();
  if (unexpected !== undefined) throw invalidArgument(`Parameter 'limits.${unexpected}' is unexpected`);
  return limits;
}

/** Reads a number of 64 bits. EINVAL with QEMU's text, which names the property, if it is none. */
type IntegerReader = (name: string, value: JsonValue) => bigint;

const integerOfJson: IntegerReader = (name, value) => {
  if (typeof value === 'bigint' && BigInt.asIntN(64, value) === value) return value;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return BigInt(value);
  throw invalidArgument(`Invalid parameter type for '${name}', expected: integer`);
};

const integerOfText: IntegerReader = (name, value) => {
  const number = typeof value === 'string' ? parseSigned(value) : null;
  if (number !== null) return number;
  throw invalidArgument(`Parameter '${name}' expects integer`);
};

function isLength(key: string): boolean {
  return key.endsWith(suffixes.burstSeconds);
}

interface Limit {
  readonly average: bigint;
  readonly burst: bigint;
  readonly burstSeconds: bigint;
}

function makeGroup(valueOf: (key: string) => bigint | undefined): ThrottleGroup {
  const number = (name: string, part: Part, initial: bigint): bigint =>
    BigInt.asUintN(64, valueOf(name + suffixes[part]) ?? initial);
  const limits = bucketNames.map(
    (name): Limit => ({
      average: number(name, 'average', 0n),
      burst: number(name, 'burst', 0n),
      burstSeconds: number(name, 'burstSeconds', 1n),
    }),
  );
  const [bpsTotal, bpsRead, bpsWrite, iopsTotal, iopsRead, iopsWrite] = limits;
  const isSet = (...which: readonly (Limit | undefined)[]): boolean =>
    which.some((limit) => limit !== undefined && limit.average > 0n);
  const hasBurst = (...which: readonly (Limit | undefined)[]): boolean =>
    which.some((limit) => limit !== undefined && limit.burst > 0n);
  if (
    (isSet(bpsTotal) && isSet(bpsRead, bpsWrite)) ||
    (isSet(iopsTotal) && isSet(iopsRead, iopsWrite)) ||
    (hasBurst(bpsTotal) && hasBurst(bpsRead, bpsWrite)) ||
    (hasBurst(iopsTotal) && hasBurst(iopsRead, iopsWrite))
  ) {
    throw invalidArgument('bps/iops/max total values and read/write values cannot be used at the same time');
  }
  const sizeBytes = BigInt.asUintN(64, valueOf(SIZE_KEY) ?? 0n);
  if (sizeBytes > 0n && !isSet(iopsTotal, iopsRead, iopsWrite)) {
    throw invalidArgument('iops size requires an iops value to be set');
  }
  for (const limit of limits) checkLimit(limit);
  const buckets = limits.map(
    ({ average, burst, burstSeconds }): Bucket => ({
      average: Number(average),
      burst: Number(burst),
      burstSeconds: Number(burstSeconds),
    }),
  );
  return { kind: 'throttle-group', buckets, requestBytes: Number(sizeBytes) };
}

function checkLimit({ average, burst, burstSeconds }: Limit): void {
  if (average > VALUE_MAX || burst > VALUE_MAX) {
    throw invalidArgument(`bps/iops/max values must be within [0, ${VALUE_MAX}]`);
  }
  if (burstSeconds === 0n) throw invalidArgument('the burst length cannot be 0');
  if (burstSeconds > 1n && burst === 0n) throw invalidArgument('burst length set without burst rate');
  if (burst > 0n && burstSeconds > VALUE_MAX / burst) {
    throw invalidArgument('burst length too high for this burst rate');
  }
  if (burst > 0n && average === 0n) throw invalidArgument('bps_max/iops_max require corresponding bps/iops values');
  if (burst > 0n && burst < average) throw invalidArgument('bps_max/iops_max cannot be lower than bps/iops');
}
