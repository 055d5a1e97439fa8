/** Numbers, order, shards, resumed searches and reporters, over a strategy that only counts. */
import { describe, expect, it } from 'vitest';
import { type Reporter, Search, type Workers } from '../../src/search/engine.ts';
import { junit } from '../../src/search/reporters/junit.ts';
import { findTable } from '../../src/search/reporters/find-table.ts';
import { resultLines } from '../../src/search/reporters/result-lines.ts';
import { type Header, ResultSet } from '../../src/search/results.ts';
import { parseShard } from '../../src/search/shard.ts';
import type { Outcome } from '../../src/search/strategy.ts';

const UNITS = 50;
const header: Header = { search: 'count', version: 1, image: 'a', script: 'b', options: [], seed: 1, units: UNITS };
const sound: Outcome = { recipe: 0, title: 'a case', verdict: 'sound', detail: '', signature: '', hazard: '' };

/** Every seventh unit has three cases, the last of which is a find. */
function casesOf(unit: number): Outcome[] {
  if (unit % 7 !== 6) return [{ ...sound, recipe: unit }];
  const find: Outcome = { ...sound, verdict: 'lost', detail: `unit ${unit} <lost>`, signature: `kind ${unit % 2}` };
  return [sound, sound, find].map((one, part) => ({ ...one, recipe: [unit, part] }));
}

/** Workers that end in another order than they begin. */
function disorderly(places = 5): Workers & { asked: number[] } {
  const asked: number[] = [];
  return {
    places,
    asked,
    async run(unit) {
      asked.push(unit);
      for (let turn = 0; turn < (unit * 7) % 5; turn++) await Promise.resolve();
      return casesOf(unit);
    },
    stop() {},
  };
}

interface Run {
  readonly lines: string;
  readonly table: string;
  readonly asked: number[];
}

async function runSearch(
  settings: { shard?: string; earlier?: string; casesMax?: number; reporters?: readonly Reporter[] } = {},
): Promise<Run> {
  let lines = '';
  let table = '';
  const earlier = new ResultSet();
  if (settings.earlier !== undefined) earlier.add(settings.earlier);
  const workers = disorderly();
  const search = new Search({
    header,
    workers,
    shard: parseShard(settings.shard ?? null, {}),
    casesMax: settings.casesMax ?? Number.MAX_SAFE_INTEGER,
    earlier,
    leaksCount: false,
    reporters: [
      resultLines((text) => {
        lines += text;
      }),
      findTable((text) => {
        table += text;
      }),
      ...(settings.reporters ?? []),
    ],
  });
  await search.run();
  return { lines, table, asked: workers.asked };
}

function union(...texts: string[]): string {
  const results = new ResultSet();
  for (const text of texts) results.add(text);
  return [...results.units.flatMap((unit) => results.linesOf(unit) ?? []), ''].join('\n');
}

describe('results', () => {
  it('come in the order of the cases, whoever ends first', async () => {
    const { lines, table } = await runSearch();
    const numbers = lines
      .split('\n')
      .slice(1, -1)
      .map((line) => (JSON.parse(line) as { case: string }).case);
    expect(numbers.slice(4, 10)).toEqual(['4', '5', '6.0', '6.1', '6.2', '7']);
    expect(numbers).toHaveLength(64);
    expect(table).toContain('1.  lost: kind 0\n    case 6.2 and 3 more: a case\n    unit 6 <lost>\n');
    expect(table).toMatch(/64 cases, 2 finds\n$/);
  });

  it('of eight shards are those of the whole, also where shards overlap or were killed', async () => {
    const whole = (await runSearch()).lines;
    const [first = '', ...rest] = await Promise.all(
      [1, 2, 3, 4, 5, 6, 7, 8].map(async (number) => (await runSearch({ shard: `${number}/8` })).lines),
    );
    const body = whole.slice(whole.indexOf('\n') + 1);
    expect(union(first, ...rest)).toBe(body);
    expect(union(...rest.toReversed(), first, whole)).toBe(body);
    for (let cut = 1; cut < first.length; cut += 7) expect(union(first.slice(0, cut), first, ...rest)).toBe(body);
  });

  it('are taken up where an earlier search was killed', async () => {
    const whole = await runSearch();
    for (const cut of [1, 200, 1000, 3000, whole.lines.length]) {
      const again = await runSearch({ earlier: whole.lines.slice(0, cut) });
      expect(again.lines).toBe(whole.lines);
      expect(again.asked.length).toBeLessThanOrEqual(UNITS);
    }
    expect((await runSearch({ earlier: whole.lines })).asked).toEqual([]);
  });

  it('of another search, and what are no results, are refused', async () => {
    const { lines } = await runSearch();
    const other = lines.replace('"seed":1', '"seed":2');
    expect(() => union(lines, other)).toThrow('of another search');
    expect(() => union('length\n')).toThrow('no JSON object');
    expect(() => union('{}\n')).toThrow('no results of a search');
    expect(() => union(`${lines}{"case":"1"}\n`)).toThrow('no result of a case');
    expect(() => union(`${lines}{"case":"1.9","of":2,"verdict":"sound","title":"","recipe":0}\n`)).toThrow('no result');
  });

  it('end before a case that is one too many, also within a unit, which does not count as done then', async () => {
    expect((await runSearch({ casesMax: 3 })).lines.split('\n')).toHaveLength(5);
    const whole = await runSearch();
    const cut = await runSearch({ casesMax: 8 });
    expect(cut.lines.trimEnd().split('\n')).toEqual(whole.lines.split('\n', 9));
    expect(cut.table).toMatch(/^8 cases/);
    const resumed = await runSearch({ earlier: cut.lines });
    expect(resumed.lines).toBe(whole.lines);
    expect(resumed.asked[0]).toBe(6);
  });
});

it('JUnit has a test for each case and a failure for each find, as XML', async () => {
  let text = '';
  await runSearch({
    reporters: [
      junit((part) => {
        text += part;
      }),
    ],
  });
  expect(text).toContain('<testsuite name="blkscope count" tests="64" failures="7" errors="0" skipped="0">');
  expect(text).toContain('<failure type="lost" message="unit 6 &lt;lost&gt;"/></testcase>');
});

describe('a shard', () => {
  it('is named by hand or by an engine', () => {
    expect(parseShard('3/8', {})).toEqual({ index: 2, count: 8 });
    expect(parseShard(null, {})).toEqual({ index: 0, count: 1 });
    expect(parseShard('/8', { JOB_COMPLETION_INDEX: '7' })).toEqual({ index: 7, count: 8 });
    const slurm = { SLURM_ARRAY_TASK_ID: '12', SLURM_ARRAY_TASK_MIN: '10', SLURM_ARRAY_TASK_COUNT: '4' };
    expect(parseShard(null, slurm)).toEqual({ index: 2, count: 4 });
    expect(parseShard(null, { TEST_SHARD_INDEX: '0', TEST_TOTAL_SHARDS: '2' })).toEqual({ index: 0, count: 2 });
  });

  it('that does not exist is refused', () => {
    for (const text of ['0/8', '9/8', '1', '1/0', 'a/b', '/8']) expect(() => parseShard(text, {})).toThrow('--shard');
    expect(() => parseShard(null, { JOB_COMPLETION_INDEX: '7' })).toThrow('say how many shards there are');
    expect(() => parseShard('/4', { JOB_COMPLETION_INDEX: '7' })).toThrow('no shard of 4');
    expect(() => parseShard(null, { TEST_SHARD_INDEX: 'x', TEST_TOTAL_SHARDS: '2' })).toThrow('no number');
  });
});
