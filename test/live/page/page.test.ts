/** The page of a recording: its model and its one file. */
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { encodeLine } from '../../../src/live/record/encoder.ts';
import { pageEnd, pageScript, pageStart } from '../../../src/live/page/page.ts';
import type { RecordingLine } from '../../../src/live/record/schema.ts';
import { emptySnapshot, eventfulRequest, rule, snapshot, suspended } from '../panel/snapshots.ts';

interface Moment {
  readonly t: number;
  readonly s: number;
}
interface Span {
  readonly b: Moment;
  readonly e: Moment;
}
interface PageRequest extends Span {
  readonly id: number;
  readonly operation: string;
  readonly errno: number;
  readonly isOpen: boolean;
  readonly spans: (Span & {
    readonly depth: number;
    readonly errno: number;
    readonly of: string;
    readonly offset: number;
  })[];
  readonly holds: (Span & { readonly tag: string })[];
  readonly waits: (Span & { readonly on: string })[];
  readonly marks: { readonly type: string; readonly text: string }[];
  readonly command: { readonly line: string } | null;
}
interface PageRun {
  readonly requests: PageRequest[];
  readonly rules: Map<number, { action: string; effect: string; hits: number; lastSkip: string | null }>;
  readonly states: { readonly from: number; readonly to: number }[];
  readonly notes: string[];
  readonly commands: { readonly line: string; readonly output: string; readonly errno: number }[];
  readonly hazards: (Moment & { readonly text: string })[];
  readonly eventCounts: Map<string, number>;
}

/** The functions of the page's script that need no document. */
interface PageFunctions {
  readonly readRun: (text: string) => PageRun;
  readonly matches: (run: PageRun, request: PageRequest, words: string[]) => boolean;
  readonly title: (request: PageRequest) => string;
  readonly partName: (request: PageRequest) => string;
  readonly duration: (ns: number) => string;
}

const functions = runInNewContext(`${pageScript}\n;({ readRun, matches, title, partName, duration })`) as PageFunctions;

const header: RecordingLine = { kind: 'header', schema: 1, program: '', startedAt: '', startedNs: 1e9, command: [] };
const before = { ...snapshot, timeNs: 1e9, suspended: [], suspendedCount: 0, requests: [], requestCount: 0 };

function read(lines: readonly RecordingLine[]): PageRun {
  return functions.readRun(lines.map(encodeLine).join(''));
}

describe('the page of a recording', () => {
  it('loads nothing, and is plain ASCII, so that no build can change its text', () => {
    const page = pageStart + pageEnd;
    expect(page).not.toMatch(/https?:|\bsrc=|@import|url\((?!#)|fetch\(|import\(/);
    expect(page).toContain("default-src 'none'");
    expect(page).toMatch(/^[\n\x20-\x7e]*$/);
  });

  it('a name in a run cannot end the script that holds it', () => {
    const evil = '</script><script>alert(1)</script>';
    const line = encodeLine({ kind: 'note', text: evil, dropped: 0 });
    expect(line).not.toContain('<');
    expect(read([header, { kind: 'note', text: evil, dropped: 0 }]).notes).toContain(evil);
  });

  it('finds requests with their spans, suspensions and waits', () => {
    const run = read([header, { kind: 'snapshot', ...before }, ...eventfulRequest()]);
    expect(run.requests.map(functions.title)).toEqual(['write 512@4k', 'read 4k@1099511628288']);
    const [write, reading] = run.requests as [PageRequest, PageRequest];
    expect(write.spans.map(({ depth, errno, b, e }) => [depth, errno, b.s, e.s])).toEqual([
      [0, 28, 1, 19],
      [1, 28, 15, 18],
    ]);
    expect(write.holds.map(({ tag, b, e }) => [tag, b.s, e.s])).toEqual([
      ['A', 5, 8],
      ['B<', 7, 9],
    ]);
    expect(write.waits.map(({ on, b, e }) => [on, b.s, e.s])).toEqual([['w3', 10, 11]]);
    expect([write.isOpen, write.errno, write.b.s, write.e.s]).toEqual([false, 28, 1, 19]);
    expect([reading.isOpen, reading.holds[0]?.e.s]).toEqual([true, 22]);
  });

  it('tells offsets of the guest and of the file apart, and whose part a request is', () => {
    const part = { kind: 'request-begin', operation: 'write', bytes: 512, parent: 4 } as const;
    const run = read([
      header,
      { kind: 'snapshot', ...before },
      ...eventfulRequest(),
      { sequence: 22, timeNs: 3e9, request: 6, node: '#debug', ...part, fileOffset: 65536 },
    ]);
    const [write, , third] = run.requests as [PageRequest, PageRequest, PageRequest];
    expect(write.spans.map(({ of, offset }) => `${of}${offset}`)).toEqual(['guest 4096', 'file 327680']);
    expect(functions.partName(third)).toBe('w6 of w4');
    expect(run.requests.filter((r) => functions.matches(run, r, ['w4']))).toEqual([write, third]);
  });

  it('marks a hazard at its request, and says it', () => {
    const run = read([header, { kind: 'snapshot', ...before }, ...eventfulRequest()]);
    expect(run.hazards).toEqual([{ t: expect.any(Number), s: 17, text: 'w4 frees host 64k@320k under w3' }]);
    expect(run.requests.filter((r) => functions.matches(run, r, ['hazard'])).map(({ id }) => id)).toEqual([4]);
  });

  it('follows the changes of rules', () => {
    const record = { timeNs: 3e9, request: 0, node: '#debug' } as const;
    const view = { ...rule, number: 8, effect: 'EPERM' };
    const run = read([
      header,
      { kind: 'snapshot', ...before },
      { ...record, sequence: 1, kind: 'rule-added', rule: 8, view },
      { ...record, sequence: 2, kind: 'rule-changed', rule: 8, view: { ...view, effect: 'ENOSPC' } },
      { ...record, sequence: 3, kind: 'rule-exhausted', rule: 8 },
      { ...record, sequence: 4, kind: 'rule-removed', rule: 1 },
    ]);
    expect(run.requests).toEqual([]);
    expect(run.rules.get(8)).toMatchObject({ effect: 'ENOSPC', status: 'exhausted' });
    expect(run.rules.get(1)).toMatchObject({ effect: 'EIO', status: 'removed' });
  });

  it('counts hits, and knows rules that are gone by what they did', () => {
    const run = read([header, { kind: 'snapshot', ...before }, ...eventfulRequest()]);
    expect(run.rules.get(2)).toMatchObject({ kind: 'set-state', effect: '1→2', hits: 2 });
    expect(run.rules.get(7)).toMatchObject({ kind: 'suspend', effect: 'A', hits: 1 });
    expect(run.rules.get(1)).toMatchObject({ hits: 0, lastSkip: { text: 'not in state 3' } });
    expect(run.states).toMatchObject([{ from: 1, to: 2 }]);
    expect(Object.fromEntries(run.eventCounts)).toEqual({ pwritev: 1, cluster_alloc: 1, write_aio: 1 });
    const after = { ...before, rules: before.rules.map((one) => ({ ...one, hits: 40 })) };
    const whole = read([header, { kind: 'snapshot', ...before }, ...eventfulRequest(), { kind: 'snapshot', ...after }]);
    expect(whole.rules.get(2)?.hits).toBe(40);
  });

  it('knows which command has started a request, what it printed, and whether it failed', () => {
    const command = { timeNs: 3e9, request: 0, node: '', kind: 'command', depth: 0 } as const;
    const begin = {
      timeNs: 3e9,
      node: '#top',
      kind: 'request-begin',
      operation: 'write',
      offset: 0,
      bytes: 512,
    } as const;
    const output = { timeNs: 3e9, node: '', kind: 'output', stream: 'stdout' } as const;
    const run = read([
      header,
      { kind: 'snapshot', ...before },
      { ...command, sequence: 1, line: 'aio_write 0 512' },
      { ...begin, sequence: 2, request: 4 },
      { ...command, sequence: 3, line: 'read 0 1' },
      { ...output, sequence: 4, request: 0, text: 'no\n' },
      { ...begin, sequence: 5, request: 5, client: 'client 1' },
      { ...output, sequence: 6, request: 4, text: 'wrote\n' },
      { timeNs: 3e9, sequence: 7, request: 0, node: '', kind: 'command-failed', depth: 0, errno: 5 },
    ]);
    expect(run.requests.map((one) => one.command?.line)).toEqual(['aio_write 0 512', undefined]);
    expect(run.commands.map(({ line, output: text, errno }) => [line, text, errno])).toEqual([
      ['aio_write 0 512', 'wrote\n', 0],
      ['read 0 1', 'no\n', 5],
    ]);
    const [write] = run.requests as [PageRequest, PageRequest];
    expect(functions.matches(run, write, ['aio_write'])).toBe(true);
  });

  it('shows what was suspended before the recording began', () => {
    const resume = { sequence: 1, timeNs: 3e9, request: 4, node: '#debug', kind: 'resume', tag: 'A' } as const;
    const run = read([header, { kind: 'snapshot', ...snapshot, suspended: [suspended] }, resume]);
    expect(run.requests.map(({ id }) => id)).toEqual([4, 5]);
    expect(run.requests[0]?.holds).toMatchObject([{ tag: 'A', b: { t: 2e9 }, e: { t: 3e9 } }]);
  });

  it('filters by operation, number, event, tag, error and node, and by what is not wanted', () => {
    const run = read([header, { kind: 'snapshot', ...before }, ...eventfulRequest()]);
    const found = (...words: string[]): number[] =>
      run.requests.filter((request) => functions.matches(run, request, words)).map(({ id }) => id);
    expect(found()).toEqual([4, 9]);
    expect(found('write')).toEqual([4]);
    expect(found('r9')).toEqual([9]);
    expect(found('w9')).toEqual([]);
    expect(found('cluster_alloc')).toEqual([4]);
    expect(found('suspended')).toEqual([4, 9]);
    expect(found('suspended z')).toEqual([9]);
    expect(found('enospc')).toEqual([4]);
    expect(found('suspended', '-enospc')).toEqual([9]);
    expect(found('qcow2', 'blkdebug')).toEqual([4, 9]);
    expect(found('unfinished')).toEqual([9]);
    expect(found('nothing')).toEqual([]);
  });

  it('knows the nodes of an image that was opened after the beginning and closed before the end', () => {
    const [first, last] = [0.5e9, 9e9].map((timeNs) => ({ kind: 'snapshot', ...emptySnapshot, timeNs }) as const);
    if (first === undefined || last === undefined) throw new Error('two were made');
    const run = read([header, first, { kind: 'snapshot', ...before }, ...eventfulRequest(), last]);
    const [write] = run.requests;
    if (write === undefined) throw new Error('no request');
    expect(functions.matches(run, write, ['blkdebug'])).toBe(true);
  });

  it('opens a run without records, a torn one, and one of only records', () => {
    expect(read([]).requests).toEqual([]);
    expect(read([header, { kind: 'snapshot', ...before }]).requests).toEqual([]);
    expect(functions.readRun('{"kind":"hea').notes).toHaveLength(1);
    expect(read(eventfulRequest()).requests).toHaveLength(2);
    expect(read(eventfulRequest().slice(5)).requests).toHaveLength(2);
  });

  it('writes durations in the unit that fits', () => {
    expect([0, 999, 1500, 2.5e6, 1e9, 61e9].map(functions.duration)).toEqual([
      '0 ns',
      '999 ns',
      '1.5 µs',
      '2.5 ms',
      '1 s',
      '1 min 1 s',
    ]);
  });
});
