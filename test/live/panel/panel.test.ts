/** The text of the panel at every size. */
import { describe, expect, it } from 'vitest';
import { EventHistory, type FiredEvent } from '../../../src/block/events/history.ts';
import type { Coroutine } from '../../../src/block/loop/coroutine.ts';
import { Event } from '../../../src/block/events/events.ts';
import { latestEvents, LiveModel } from '../../../src/live/panel/model.ts';
import { panelRows, renderPanel } from '../../../src/live/panel/panel.ts';
import { terminalPaint } from '../../../src/cli/paint.ts';
import { isUtf8Locale } from '../../../src/util/ascii.ts';
import { unpainted } from '../../../src/util/style.ts';
import { textWidth } from '../../../src/util/text-width.ts';
import { emptySnapshot, eventfulEvents, snapshot, rule, suspended } from './snapshots.ts';

function modelWith(shown = snapshot): LiveModel {
  const model = new LiveModel();
  model.take({ kind: 'snapshot', ...shown });
  return model;
}

function draw(model: LiveModel, columns: number, rows = 9, paint = unpainted): string[] {
  return renderPanel(model, { columns, rows, nowNs: 4.2e9, paint });
}

describe('the panel', () => {
  it('shows chain, state, events with what they led to, rules with hits, and what waits', () => {
    const model = modelWith();
    model.take(eventfulEvents());
    const lines = draw(model, 150);
    expect(lines[0]).toContain('blkscope  disk.qcow2 ─ qcow2 ─ blkdebug ─ file ── state 2 (1→2 at #11)');
    expect(lines[0]).toContain('in flight 2 ── suspended 1');
    expect(lines[2]).toMatch(/│ #11 +write_aio +w4 +1→2 × ENOSPC/);
    expect(lines.join('\n')).toMatch(/#3 +cluster_alloc +w4 +■ A ■ B</);
    expect(lines[2]).toMatch(/ 1 inject EIO +l2_update +state=2 +armed +0 /);
    expect(lines[3]).toMatch(/ 2 state 1→2 +write_aio +state=1 +armed +1 /);
    expect(lines[4]).toMatch(/ 3 break B +pwritev +off +0 /);
    expect(lines[2]).toMatch(/ A +w4 +write 64k@0 +cluster_alloc +3\.2s │$/);
    expect(lines[3]).toMatch(/ · +r5 +read 4k@8k +← w4 +2\.7s │$/);
  });

  it('cuts nothing that fits in 120 columns', () => {
    const model = modelWith();
    const { latest } = eventfulEvents();
    model.take({ kind: 'events', stateChangedAt: 11, latest: latest.filter(({ number }) => number !== 3) });
    const text = draw(model, 120).join('\n');
    expect(text).not.toContain('…');
    for (const whole of ['write_aio w4  1→2 × ENOSPC', 'inject EIO l2_update state=2 armed  0']) {
      expect(text).toContain(whole);
    }
    expect(text).toMatch(/A w4 {2}write 64k@0 cluster_alloc +3\.2s/);
  });

  it('keeps the event of a suspended request in 100 columns, and tells long tags apart', () => {
    const tags = ['checkpoint-before-alloc-1', 'checkpoint-before-alloc-2'];
    const model = modelWith({
      ...snapshot,
      suspendedCount: 2,
      suspended: tags.map((tag, at) => ({
        ...suspended,
        tag,
        request: 4 + at,
        event: 'pwritev_rmw_after_head' as const,
      })),
      rules: tags.map((tag, at) => ({ ...rule, number: at + 1, kind: 'suspend' as const, effect: tag })),
    });
    model.take(eventfulEvents());
    for (const columns of [80, 100, 120]) {
      const text = draw(model, columns).join('\n');
      for (const end of ['1', '2']) expect(text).toMatch(new RegExp(`…\\S*${end} +w[45] `));
      if (columns >= 100) expect(text).toMatch(/w4 +(?:write 64k@0 )?pwritev_rmw_after_head +3\.2s/);
    }
  });

  it('counts the events of the session and how many there are in a second', () => {
    const model = modelWith();
    const at = (timeNs: number, total: number): string => {
      const [latest] = eventfulEvents().latest;
      model.take({
        kind: 'events',
        stateChangedAt: 0,
        latest: latest === undefined ? [] : [{ ...latest, number: total }],
      });
      model.measureRate(timeNs);
      return draw(model, 120)[1] ?? '';
    };
    expect(at(1e9, 1000)).toMatch(/EVENTS +1,000 in all │/);
    expect(at(2e9, 21_000)).toContain('21,000 in all, 20.0k/s │');
    expect(at(3e9, 21_500)).toContain('21,500 in all, 10.3k/s │');
    expect(at(20e9, 21_500)).toContain('21,500 in all │');
  });

  it('has lines and marks of ASCII for a locale that is not UTF-8, as wide as the others', () => {
    const model = modelWith();
    model.take(eventfulEvents());
    const unicode = draw(model, 120);
    const ascii = renderPanel(model, { columns: 120, rows: 9, nowNs: 4.2e9, paint: unpainted, isAscii: true });
    expect(ascii.map(textWidth)).toEqual(unicode.map(textWidth));
    // oxlint-disable-next-line no-control-regex
    expect(ascii.join('')).toMatch(/^[\x20-\x7e]*$/);
    expect(ascii[2]).toMatch(/^\| #11 +write_aio +w4 +1>2 x E/);
    expect(isUtf8Locale({ LANG: 'en_US.UTF-8' })).toBe(true);
    expect(isUtf8Locale({ LANG: 'en_US.UTF-8', LC_ALL: 'C' })).toBe(false);
    expect(isUtf8Locale({ LC_ALL: '', LC_CTYPE: 'C.utf8' })).toBe(true);
    expect(isUtf8Locale({})).toBe(false);
  });

  it('every line is as wide as the terminal, at any width and with any names', () => {
    const odd = { ...suspended, tag: '断点\u0301🙂', operation: 'a\x1b[2Jb\n' };
    const model = modelWith({
      ...snapshot,
      nodes: [{ name: '#debug', driver: 'raw', file: '磁盘イメージ.qcow2\x07' }],
      suspended: [odd],
      rules: [{ ...rule, effect: '測試測試測試測試測試' }],
    });
    model.take(eventfulEvents());
    for (let columns = 24; columns < 200; columns += 1) {
      const rows = panelRows(columns, 40);
      const lines = draw(model, columns, rows);
      expect(lines).toHaveLength(rows);
      for (const line of lines) {
        expect(textWidth(line)).toBe(columns);
        expect(line).not.toMatch(/\p{Cc}/u);
      }
    }
  });

  it('is the same text with colours and without', () => {
    const model = modelWith();
    model.take(eventfulEvents());
    // oxlint-disable-next-line no-control-regex
    const stripped = draw(model, 100, 9, terminalPaint('always')).map((line) => line.replace(/\x1b\[[\d;]*m/g, ''));
    expect(stripped).toEqual(draw(model, 100));
    expect(draw(model, 100).join('')).not.toContain('\x1b');
    // Sixteen colours: no extended ones.
    expect(draw(model, 100, 9, terminalPaint('always')).join('')).not.toMatch(/[34]8;[25];/);
  });

  it('loses conditions first, then the rules, and keeps events and suspended requests', () => {
    const model = modelWith();
    model.take(eventfulEvents());
    const at = (columns: number): string => draw(model, columns).join('\n');
    expect(at(170)).toContain('state=2');
    expect(at(80)).not.toContain('state=2');
    expect(at(80)).toContain('inject EIO');
    expect(at(80)).toMatch(/w4 +■ A/);
    expect(at(62)).not.toContain('RULES');
    expect(at(62)).toContain('SUSPENDED');
    expect(at(62)).toContain('cluster_alloc');
  });

  it('folds into one line below 60x15, and away below what leaves the shell room', () => {
    expect(panelRows(60, 15)).toBeGreaterThan(3);
    expect(panelRows(59, 40)).toBe(1);
    expect(panelRows(200, 14)).toBe(1);
    expect(panelRows(200, 4)).toBe(0);
    expect(panelRows(20, 40)).toBe(0);
    const model = modelWith();
    model.take(eventfulEvents());
    const [line, ...others] = draw(model, 59, 1);
    expect(others).toEqual([]);
    expect(line).toMatch(/^state 2 ── ■ A w4 3\.2s ── in flight 2/);
  });

  it('never takes more than half of the screen', () => {
    for (let rows = 15; rows < 60; rows += 1) expect(panelRows(100, rows, 30)).toBeLessThanOrEqual(rows / 2);
  });

  it('says how many there are more than it has rows for', () => {
    const many = Array.from({ length: 50 }, (_, at) => ({ ...suspended, tag: `t${at}`, request: at }));
    const rules = Array.from({ length: 40 }, (_, at) => ({ ...rule, number: at + 1 }));
    const lines = draw(
      modelWith({
        ...snapshot,
        suspended: many,
        suspendedCount: 10_000,
        requestCount: 10_000,
        rules,
        ruleCount: 9_000,
      }),
      120,
    ).join('\n');
    expect(lines).toContain('and 9995 more');
    expect(lines).toContain('and 8995 more');
    expect(lines).toContain('suspended 10000');
  });

  it('has the latest hazard in its last line, and a mark at its event', () => {
    const model = modelWith(snapshot);
    const events = eventfulEvents();
    const text = 'w4 frees host 64k@320k while w3 is in flight there';
    const [first, ...others] = events.latest;
    const marked = { ...(first as FiredEvent), notes: [{ kind: 'hazard', text } as const] };
    model.take({ ...events, hazards: { count: 2, number: 11, text }, latest: [marked, ...others] });
    const lines = draw(model, 120);
    expect(lines.at(-1)).toContain(`hazard at #11 (2 in all): ${text}`);
    expect(lines.find((line) => line.includes('#11 '))).toContain('! hazard');
    for (const columns of [60, 76, 100]) {
      for (const line of draw(model, columns)) expect(textWidth(line)).toBe(columns);
    }
    expect(draw(model, 60, 1)[0]).toContain('! hazard at #11');
  });

  it('says so without an image and without blkdebug', () => {
    const lines = draw(modelWith(emptySnapshot), 100);
    expect(lines[0]).toContain('no image');
    expect(lines[0]).not.toContain('state');
    expect(lines.join('\n')).toContain('no blkdebug in the chain');
    expect(draw(new LiveModel(), 100)[0]).toContain('no image');
  });

  it('shows the events of the node with rules and those that led to something, and of all nodes if none has', () => {
    const history = new EventHistory();
    const request = { id: 4, operation: 'aio_write', parent: null as Coroutine | null } as Coroutine;
    for (const node of ['top', 'debug', 'file']) history.add(Event.PWRITEV, request, node, node === 'debug');
    const shown = (debugNode: string | null): string[] =>
      latestEvents(history, { ...snapshot, debugNode }).latest.map(({ node }) => node);
    expect(shown('#debug')).toEqual(['debug']);
    expect(shown(null)).toEqual(['file', 'debug', 'top']);
    history.annotate(4, { kind: 'wait', on: 'w3' });
    expect(shown('#debug')).toEqual(['file', 'debug']);
  });
});

describe('the model', () => {
  it('has the latest events, newest first, with the numbers that the command `events` gives', () => {
    const history = new EventHistory();
    for (let at = 0; at < 1000; at += 1) history.add(Event.PWRITEV, null, '#top', true);
    const model = modelWith();
    model.take(latestEvents(history, snapshot));
    expect(model.latest(3).map(({ number }) => number)).toEqual([1000, 999, 998]);
    expect(model.latest(5000).length).toBeLessThanOrEqual(200);
  });

  it('counts what a stream says was left out', () => {
    const model = modelWith();
    model.take({ kind: 'note', text: 'slow', dropped: 12 });
    expect(draw(model, 100).at(-1)).toContain('12 records missed');
  });
});
