/** Recordings: lines, formats, errors while they are written. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { ChromeTrace } from '../../../src/live/record/chrome-trace.ts';
import type { TraceRecord } from '../../../src/block/events/trace.ts';
import { Encoder, encodeLine } from '../../../src/live/record/encoder.ts';
import { isRecord, members, parseLine, type RecordingLine, SCHEMA_VERSION } from '../../../src/live/record/schema.ts';
import { Recorder, type RecorderOptions } from '../../../src/live/record/recorder.ts';
import { makeReport, readRecording } from '../../../src/live/record/report.ts';
import { checkedTrace } from './chrome-check.ts';
import { changes, eventfulEvents, eventfulRequest, snapshot } from '../panel/snapshots.ts';
import { eventfulScript, injectingConfig, openSession } from './recorded-session.ts';
import { useEmptyFolder } from '../../helpers/sandbox.ts';

const folder = useEmptyFolder();
const inFolder = (name: string): string => path.join(folder, name);

/** One of each form. */
const openRecorders = (options: RecorderOptions): Promise<Recorder[]> =>
  Promise.all(['run.ndjson', 'run.json', 'run.html'].map((name) => Recorder.open(inFolder(name), options)));

const header: RecordingLine = {
  kind: 'header',
  schema: 3,
  program: 'test',
  startedAt: '2026-01-02T03:04:05.000Z',
  startedNs: 1e9,
  command: [],
};
const snapshotLine: RecordingLine = { kind: 'snapshot', ...snapshot };
const end: RecordingLine = { kind: 'end', timeNs: 2e9, records: 20 };

describe('lines', () => {
  it('records read back as they were, whatever their numbers and names', () => {
    const numbers = [0, 1, 9, 10, 999_999_999, 1e9, 1e9 + 1, 4_294_967_296, 1e12, 2 ** 53 - 1];
    const records = [
      ...eventfulRequest(),
      ...numbers.flatMap((number) => [
        {
          sequence: number,
          timeNs: number,
          request: number,
          node: 'a "b" <\\ ü 断',
          kind: 'request-begin' as const,
          operation: 'write -z',
          guestOffset: number,
          bytes: number,
        },
        {
          sequence: 1,
          timeNs: 2,
          request: 3,
          node: 'n',
          kind: 'request-begin' as const,
          operation: 'write',
          fileOffset: number,
          bytes: 512,
          client: 'client 1',
          parent: 2,
        },
        {
          sequence: 1,
          timeNs: 2,
          request: 3,
          node: 'n',
          kind: 'request-end' as const,
          operation: 'write -z',
          errno: -5,
        },
      ]),
    ];
    let text = '';
    const encoder = new Encoder((lines) => {
      text += lines.toString();
    });
    for (const record of records) encoder.record(record);
    encoder.flush();
    expect(text).not.toContain('<');
    expect(text.trimEnd().split('\n').map(parseLine)).toEqual(records);
  });

  it('commands and output are written as JSON.stringify would, whatever is in them', () => {
    const texts = [
      '',
      'write 0 4k',
      'wrote <b>\n',
      '"\\\t\u0000',
      'ä\u2028\ud83d\ude00\ud800',
      'x'.repeat(9000),
      'y'.repeat(70_000),
    ];
    const records: TraceRecord[] = [];
    for (const [at, text] of [...texts, ...texts].entries()) {
      const base = { sequence: records.length + 7, timeNs: 1e9 + at, request: at * 5, node: '' };
      records.push({
        ...base,
        kind: 'command',
        line: text,
        depth: at,
        ...(at % 2 === 0 ? {} : { syntax: 'extended' }),
      });
      records.push({ ...base, kind: 'output', stream: at % 3 === 0 ? 'stdout' : 'stderr', text });
      records.push({ ...base, kind: 'output', stream: 'stdout', text, client: 'console 1' });
    }
    let written = '';
    const encoder = new Encoder((lines) => {
      written += lines.toString();
    });
    for (const record of records) encoder.record(record);
    encoder.flush();
    // A lone surrogate has no UTF-8.
    expect(written).toBe(Buffer.from(records.map(encodeLine).join('')).toString());
  });

  it('times are whole nanoseconds', () => {
    let text = '';
    const encoder = new Encoder((lines) => {
      text += lines.toString();
    });
    for (const record of eventfulRequest()) encoder.record({ ...record, timeNs: record.timeNs + 0.4 });
    encoder.flush();
    expect(text).toMatch(/"timeNs":1000001000,/);
    expect(text).not.toMatch(/"timeNs":\d*\./);
  });

  it('a line longer than the buffer, and thousands of nodes, are no trouble', () => {
    const kept: RecordingLine[] = [];
    const encoder = new Encoder((lines) => {
      for (const line of lines.toString().trimEnd().split('\n')) kept.push(parseLine(line) as RecordingLine);
    });
    const note = { kind: 'note', text: 'x'.repeat(300_000), dropped: 0 } as const;
    const nodes = Array.from({ length: 9000 }, (_, at) => `node${at}`);
    encoder.line(note);
    for (const node of nodes)
      encoder.record({ sequence: 1, timeNs: 1, request: 1, node, kind: 'event', event: 'pwritev' });
    encoder.flush();
    expect(kept[0]).toEqual(note);
    expect(kept.slice(1).map((line) => (isRecord(line) ? line.node : ''))).toEqual(nodes);
  });

  it('a line without one of its members, or with a wrong one, is refused', () => {
    const samples: RecordingLine[] = [
      header,
      snapshotLine,
      end,
      { kind: 'note', text: '', dropped: 0 },
      eventfulEvents(),
      ...eventfulRequest(),
      ...changes(),
    ];
    expect(new Set(samples.map(({ kind }) => kind))).toEqual(new Set(Object.keys(members)));
    for (const line of samples) {
      expect(parseLine(encodeLine(line))).toEqual(line);
      for (const name of Object.keys(members[line.kind])) {
        const { [name]: _, ...rest } = line as unknown as Record<string, unknown>;
        // A member that the sample can do without is optional; the wrong kind of value is refused there, too.
        if (name in line) expect(() => parseLine(JSON.stringify(rest)), `${line.kind} without ${name}`).toThrow(name);
        const wrong = JSON.stringify({ ...rest, [name]: { nested: true }.nested });
        expect(() => parseLine(wrong), `${line.kind} with a wrong ${name}`).toThrow(name);
      }
    }
    expect(() => parseLine('{"kind":"snapshot"')).toThrow('JSON');
    expect(() => parseLine('[]')).toThrow('object');
    expect(() => parseLine('{}')).toThrow('kind');
    const rules = [{ number: 1 }];
    expect(() => parseLine(JSON.stringify({ ...snapshotLine, rules }))).toThrow('rules');
  });

  it('kinds that are not known are passed over, also those that every object has', () => {
    expect(parseLine('{"kind":"from the future"}')).toBeNull();
    expect(parseLine('{"kind":"constructor"}')).toBeNull();
  });

  it('the document of the schema tells of every kind and every member', () => {
    const text = readFileSync('src/live/record/schema.md', 'utf8');
    for (const [kind, named] of Object.entries(members)) {
      for (const name of [kind, ...Object.keys(named)]) expect(text).toContain(`\`${name}\``);
    }
  });
});

describe('Chrome trace events', () => {
  const convert = (lines: readonly RecordingLine[]): string => {
    const trace = new ChromeTrace();
    return trace.beginning + lines.map((line) => trace.convert(line)).join('') + trace.ending();
  };

  it('keep the rules at every moment at which the recording may end', () => {
    const lines = [header, snapshotLine, ...eventfulRequest(), ...changes(), end];
    for (let count = 0; count <= lines.length; count += 1) checkedTrace(convert(lines.slice(0, count)));
  });

  it('are a track a request with spans for nodes, suspensions and waits, instants for events, a counter for the state', () => {
    const events = checkedTrace(convert([header, snapshotLine, ...eventfulRequest(), end]));
    const of = (ph: string, id: string): string[] =>
      events.filter((event) => event.ph === ph && event.id === id).map(({ name }) => name);
    expect(of('b', '0x4')).toEqual([
      'w4 write 512@4k',
      'suspended A',
      'suspended B<',
      'waits for w3',
      'write 512@320k on blkdebug',
    ]);
    expect(of('n', '0x4')).toContain('cluster_alloc');
    expect(of('n', '0x4')).toContain('ENOSPC injected');
    expect(of('b', '0x9')).toEqual(['r9 read 4k@1099511628288', 'suspended Z']);
    const counter = events.filter(({ ph }) => ph === 'C').map(({ args }) => args);
    expect(counter).toEqual([{ state: 2 }]);
    const failed = events.find(({ ph, name }) => ph === 'e' && name === 'w4 write 512@4k');
    expect(failed?.args).toEqual({ error: 'ENOSPC' });
    expect(events.find(({ ph, name }) => ph === 'e' && name === 'suspended Z')?.args).toEqual({ unfinished: true });
  });

  it('of a recording that begins in the middle have no ends without a begin', () => {
    const records = eventfulRequest();
    for (let from = 0; from < records.length; from += 1) checkedTrace(convert([header, ...records.slice(from)]));
  });
});

describe('recording a session', () => {
  it('keeps every record of the bus, with the snapshot before and after, in all three forms', async () => {
    const { session, options, run, errors } = await openSession(folder, injectingConfig);
    let emitted = 0;
    session.context.trace.subscribe(() => {
      emitted += 1;
    });
    const recorders = await openRecorders(options);
    await run(...eventfulScript);
    for (const recorder of recorders) recorder.close();
    expect(errors).toEqual([]);

    const notes: string[] = [];
    const lines = [...readRecording(inFolder('run.ndjson'), notes)];
    expect(notes).toEqual([]);
    expect(lines.map(({ kind }) => kind).slice(0, 2)).toEqual(['header', 'snapshot']);
    const records = lines.filter(isRecord);
    expect(records).toHaveLength(emitted);
    expect(records.map(({ sequence }) => sequence)).toEqual(records.map((_, at) => at + 1));
    const [last, ended] = lines.slice(-2);
    expect(ended).toMatchObject({ kind: 'end', records: emitted });
    expect(last).toMatchObject({ kind: 'snapshot', suspendedCount: 2 });
    expect(last).toMatchObject({
      suspended: [
        { tag: 'A', guestOffset: 65536 },
        { tag: 'B', guestOffset: 4096, bytes: 4096 },
      ],
    });
    expect(records.map(({ kind }) => kind)).toContain('error-injected');

    const trace = checkedTrace(readFileSync(inFolder('run.json'), 'utf8'));
    expect(trace.filter(({ ph, name }) => ph === 'b' && name.startsWith('suspended'))).toHaveLength(2);

    const page = readFileSync(inFolder('run.html'), 'utf8');
    expect(
      linesOf(page)
        .split('\n')
        .filter((line) => /"sequence"/.test(line)),
    ).toHaveLength(emitted);
    await session.close();
  });

  it('leaves valid files when the program dies without a word', async () => {
    const { session, options, run } = await openSession(folder, injectingConfig);
    const recorders = await openRecorders(options);
    // Enough that some of it is written, and a suspended request open.
    await run(...eventfulScript, ...Array.from({ length: 2000 }, () => 'read -q 128k 4k'));
    const trace = checkedTrace(readFileSync(inFolder('run.json'), 'utf8'));
    expect(trace.length).toBeGreaterThan(100);
    expect(readFileSync(inFolder('run.html'), 'utf8')).toMatch(/<\/html>\n$/);
    // The page that is closed later is not longer than it should be.
    for (const recorder of recorders) recorder.close();
    expect(readFileSync(inFolder('run.html'), 'utf8').match(/<\/html>/g)).toHaveLength(1);
    checkedTrace(readFileSync(inFolder('run.json'), 'utf8'));
    await session.close();
  });

  it('leaves the bus alone once it is closed', async () => {
    const { session, options } = await openSession(folder);
    const recorder = await Recorder.open(inFolder('run.ndjson'), options);
    expect(session.context.trace.active).toBe(true);
    recorder.close();
    recorder.close();
    expect(session.context.trace.active).toBe(false);
    expect(recorder.isRecording).toBe(false);
    await session.close();
  });

  it('a file that takes no more ends the recording, not the run, and is told once', async () => {
    const { session, options, run, errors } = await openSession(folder);
    execFileSync('mkfifo', [inFolder('run.ndjson')]);
    const reader = openSync(inFolder('run.ndjson'), constants.O_RDONLY | constants.O_NONBLOCK);
    const recorder = await Recorder.open(inFolder('run.ndjson'), options);
    closeSync(reader);
    await run(...Array.from({ length: 500 }, () => 'read -q 0 4k'));
    expect(errors).toEqual(['Broken pipe']);
    expect(recorder.isRecording).toBe(false);
    expect(session.context.trace.active).toBe(false);
    recorder.close();
    expect(errors).toHaveLength(1);
    await session.close();
  });

  it('a disk that is full from the start is an error of the beginning', async () => {
    const { session, options } = await openSession(folder);
    symlinkSync('/dev/full', inFolder('run.ndjson'));
    await expect(Recorder.open(inFolder('run.ndjson'), options)).rejects.toThrow('No space left on device');
    expect(session.context.trace.active).toBe(false);
    await session.close();
  });

  it('a file that is no recording is left alone, and so is a device; an older recording is replaced', async () => {
    const { session, options } = await openSession(folder);
    writeFileSync(inFolder('notes.html'), 'my notes');
    await expect(Recorder.open(inFolder('notes.html'), options)).rejects.toThrow('it has content that is no recording');
    expect(readFileSync(inFolder('notes.html'), 'utf8')).toBe('my notes');
    for (const name of ['run.ndjson', 'run.json', 'run.html']) {
      for (let round = 0; round < 2; round += 1) (await Recorder.open(inFolder(name), options)).close();
    }
    const objection = (): string => 'the image is in it';
    await expect(Recorder.open(inFolder('run.html'), { ...options, objection })).rejects.toThrow('the image is in it');
    expect(readFileSync(inFolder('run.html'), 'utf8')).toContain('</html>');
    await session.close();
  });

  it('a pipe without a reader is refused at once, and one whose reader is slow ends the recording', async () => {
    const { session, options, run, errors } = await openSession(folder);
    execFileSync('mkfifo', [inFolder('run.ndjson')]);
    await expect(Recorder.open(inFolder('run.ndjson'), options)).rejects.toThrow('No such device or address');
    const reader = openSync(inFolder('run.ndjson'), constants.O_RDONLY | constants.O_NONBLOCK);
    const recorder = await Recorder.open(inFolder('run.ndjson'), options);
    await run(...Array.from({ length: 500 }, () => 'read -q 0 4k'));
    expect(errors).toEqual(['Resource temporarily unavailable']);
    expect(recorder.isRecording).toBe(false);
    closeSync(reader);
    await session.close();
  });

  it('other names, and folders that are not there, are refused', async () => {
    const { session, options } = await openSession(folder);
    await expect(Recorder.open(inFolder('run.txt'), options)).rejects.toThrow('a recording is .ndjson, .json');
    await expect(Recorder.open(inFolder('no/run.json'), options)).rejects.toThrow('No such file or directory');
    expect(session.context.trace.active).toBe(false);
    await session.close();
  });
});

describe('a report of a recording', () => {
  const write = (...lines: string[]): string => {
    writeFileSync(inFolder('run.ndjson'), lines.join(''));
    return inFolder('run.ndjson');
  };
  const whole = (): string[] => [header, snapshotLine, ...eventfulRequest(), end].map(encodeLine);

  it('is the page, or the trace, that the recording would have been', async () => {
    const { session, options, run } = await openSession(folder, injectingConfig);
    const recorders = await openRecorders(options);
    await run(...eventfulScript);
    for (const recorder of recorders) recorder.close();
    await session.close();
    for (const form of ['json', 'html']) {
      const report = await makeReport(inFolder('run.ndjson'), inFolder(`report.${form}`));
      expect(report.notes).toEqual([]);
      const times = /"(startedNs|startedAt|timeNs|ts|sinceNs)":("[^"]*"|[\d.]+)/g;
      const [made, kept] = ['report', 'run'].map((name) =>
        unpacked(readFileSync(inFolder(`${name}.${form}`), 'utf8')).replaceAll(times, ''),
      );
      expect(made).toBe(kept);
    }
  });

  it('tolerates a torn last line, and says so', async () => {
    const lines = whole();
    const input = write(...lines.slice(0, 8), lines[8]?.slice(0, 40) ?? '');
    const report = await makeReport(input, inFolder('report.html'));
    expect(report.records).toBe(6);
    expect(report.notes).toEqual([
      'the last line (9) is torn and left out',
      'the recording did not end in order; its last moments may be missing',
    ]);
    expect(linesOf(readFileSync(inFolder('report.html'), 'utf8'))).toContain('is torn and left out');
  });

  it('refuses what is not a recording, and makes no file', async () => {
    const cases: [string, string][] = [
      ['', 'is empty'],
      ['hello\n', 'line 1: not JSON'],
      ['{"kind":"end","timeNs":1,"records":0}\n', 'its first line is no header'],
      [encodeLine({ ...header, schema: SCHEMA_VERSION + 1 } as RecordingLine), `has schema ${SCHEMA_VERSION + 1}`],
    ];
    for (const [text, message] of cases) {
      const input = write(text);
      await expect(makeReport(input, inFolder('report.html'))).rejects.toThrow(message);
      expect(() => readFileSync(inFolder('report.html'))).toThrow('ENOENT');
    }
    await expect(makeReport(inFolder('none.ndjson'), inFolder('report.html'))).rejects.toThrow(
      'No such file or directory',
    );
    const broken = write(...whole().toSpliced(4, 1, '{"kind":"event"}\n'));
    await expect(makeReport(broken, inFolder('report.html'))).rejects.toThrow(
      "line 5: 'sequence' of event is missing or wrong",
    );
  });

  it('reads a recording of schema 1, whose snapshots were called pictures', async () => {
    const rules = [
      { number: 1, action: 'inject-error', event: 'pwritev', effect: 'EIO', conditions: 'state=2', status: 'spent' },
      { number: 2, action: 'suspend', event: 'l2_load', effect: 'A', conditions: '', status: 'armed' },
    ].map((rule, at) => ({ ...rule, hits: at, lastSkip: at === 0 ? 'not in state 2' : null }));
    const state = { value: 2, change: { from: 1, to: 2, rule: 3, timeNs: 1.5e9 } };
    const picture = { ...snapshotLine, kind: 'picture', rules, state };
    const lines = [{ ...header, schema: 1 }, picture, ...eventfulRequest(), end];
    const input = write(...lines.map((line) => `${JSON.stringify(line)}\n`));
    const report = await makeReport(input, inFolder('report.ndjson'));
    expect(report).toEqual({ records: 21, notes: [] });
    const [, upgraded] = readRecording(inFolder('report.ndjson'), []);
    expect(upgraded).toMatchObject({
      kind: 'snapshot',
      rules: [
        { kind: 'inject-error', status: 'exhausted', lastSkip: { text: 'not in state 2' } },
        { kind: 'suspend', status: 'armed', lastSkip: null },
      ],
      state: { value: 2, change: { from: 1, to: 2, rule: 3 } },
    });
  });

  it.each(['schema-1.ndjson', 'schema-2.ndjson'])(
    'reads a whole recording that an older program wrote: %s',
    async (name) => {
      const kept = path.join('test/live/record/kept', name);
      for (const form of ['ndjson', 'json', 'html']) {
        const { records, notes } = await makeReport(kept, inFolder(`report.${form}`));
        expect(records).toBeGreaterThan(200);
        expect(notes).toEqual([]);
      }
      const lines = [...readRecording(inFolder('report.ndjson'), [])];
      expect(lines[0]).toMatchObject({ kind: 'header', schema: SCHEMA_VERSION });
      const suspended = lines.flatMap((line) => (line.kind === 'snapshot' ? line.suspended : []));
      for (const { guestOffset, bytes } of suspended) expect([guestOffset, bytes]).toEqual([4096, 4096]);
      const begins = lines.filter((line) => line.kind === 'request-begin');
      expect(begins.some(({ offset, bytes }) => offset === 131_072 && bytes === 4096)).toBe(true);
      checkedTrace(readFileSync(inFolder('report.json'), 'utf8'));
    },
  );

  it('does not overwrite the recording itself', async () => {
    const input = write(...whole());
    await expect(makeReport(input, input)).rejects.toThrow('is the recording itself');
    expect(readFileSync(input, 'utf8')).toBe(whole().join(''));
  });
});

const pieces = /<script type="application\/octet-stream" class="run">([^<]*)<\/script>\n/g;

/** The lines that a page holds. */
function linesOf(page: string): string {
  return [...page.matchAll(pieces)].map(([, piece = '']) => inflated(piece)).join('');
}

/** A page with its lines in plain text; itself if it is another form of a recording. */
function unpacked(page: string): string {
  return page.replaceAll(pieces, (_, piece: string) => inflated(piece));
}

function inflated(piece: string): string {
  return inflateRawSync(Buffer.from(piece, 'base64')).toString('utf8');
}
