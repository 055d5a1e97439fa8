/** Commands that show the session: events, requests, suspended requests. */
import { describe, expect, it } from 'vitest';
import type { TraceRecord } from '../../src/block/events/trace.ts';
import type { RecordingStatus, SessionViews } from '../../src/shell/session-views.ts';
import { complete } from '../../src/shell/words/completion.ts';
import { testShell, type TestShell } from '../helpers/shell.ts';

async function runAll(shell: TestShell, lines: readonly string[]): Promise<void> {
  for (const line of lines) await shell.run(line);
}

/** The commands of ours answer with rows of columns; times are whatever they are. */
const rows = (text: string): string[][] =>
  text
    .split('\n')
    .filter((line) => line.includes('\t'))
    .map((line) => line.split('\t'));

const twoSuspended = ['break pwritev A', 'break write_aio B', 'aio_write -q 0 4k', 'aio_write -q 64k 512'];

describe('events on a terminal', () => {
  it('say how many are left out between their numbers', async () => {
    const shell = await testShell({}, { isTerminal: true });
    await runAll(shell, ['write -q 0 4k']);
    shell.out();
    await shell.run('events');
    const [, ...listed] = shell.out().trimEnd().split('\n');
    const numbers = listed.flatMap((line) => /#(\d+)/.exec(line)?.[1] ?? []).map(Number);
    const missing = (numbers.at(-1) ?? 0) - numbers.length;
    const [, said] = /\((\d+) more of nodes without rules; "events -a" shows them\)/.exec(shell.err()) ?? [];
    expect(Number(said ?? 0)).toBeGreaterThanOrEqual(missing);
    expect(missing).toBeGreaterThan(0);
    await shell.run('events -a');
    expect(shell.err()).toBe('');
  });
});

describe('events of a number that there is not', () => {
  it.each([
    ['9999', /^there is no event #9999; the latest is #\d+\n$/],
    ['#0', /^there is no event #0; the latest is #\d+\n$/],
  ])('%s says so', async (number, answer) => {
    const shell = await testShell({}, { isTerminal: true });
    await runAll(shell, ['write -q 0 4k']);
    shell.out();
    await shell.run(`events ${number}`);
    expect(shell.out()).toMatch(answer);
  });
});

describe('remove_break', () => {
  it('of a breakpoint that has hit says why there is none', async () => {
    const shell = await testShell({}, { isTerminal: true });
    await runAll(shell, ['break pwritev A', 'aio_write -q 0 4k']);
    shell.err();
    await shell.run('remove_break A');
    expect(shell.err()).toBe('(the breakpoint had hit and was gone; the request goes on)\n');
    await shell.run('remove_break A');
    expect(shell.err()).toContain('no breakpoint is set and no request is suspended');
  });
});

describe('completion', () => {
  it('offers no more tags than a command takes', async () => {
    const shell = await testShell();
    await runAll(shell, ['break pwritev A']);
    expect(complete(shell.session.shell, 'resume ').candidates).toEqual(['A']);
    expect(complete(shell.session.shell, 'resume A ').candidates).toEqual([]);
    expect(complete(shell.session.shell, 'help event pwritev_d').candidates).toEqual(['pwritev_done']);
  });
});

describe('suspended', () => {
  it('lists tag, request, operation, offset, length and event, oldest first', async () => {
    const shell = await testShell();
    await runAll(shell, twoSuspended);
    shell.out();
    await shell.run('suspended');
    const listed = rows(shell.out());
    expect(listed.map(([tag, , operation, offset, bytes, event]) => [tag, operation, offset, bytes, event])).toEqual([
      ['B', 'write', '0', '4096', 'write_aio'],
      ['A', 'write', '65536', '512', 'pwritev'],
    ]);
    await shell.run('resume B');
    shell.out();
    await shell.run('suspended -j');
    const [one] = JSON.parse(shell.out()) as { tag: string; event: string; seconds: number }[];
    expect(one).toMatchObject({ tag: 'A', event: 'pwritev' });
    expect(one?.seconds).toBeGreaterThanOrEqual(0);
  });

  it('says nothing in a pipe, a sentence on a terminal and [] as JSON where there is none', async () => {
    const pipe = await testShell();
    await runAll(pipe, ['suspended', 'requests']);
    expect(pipe.out()).toBe('');
    await runAll(pipe, ['suspended -j', 'requests -j']);
    expect(pipe.out()).toBe('[]\n[]\n');
    const terminal = await testShell({}, { isTerminal: true });
    await runAll(terminal, ['suspended', 'requests']);
    expect(terminal.out()).toBe('no request is suspended\nnothing is in flight\n');
  });

  it('is a table with titles on a terminal', async () => {
    const shell = await testShell({}, { isTerminal: true });
    await runAll(shell, ['break pwritev A-long-tag', 'aio_write -q 64k 4k']);
    shell.out();
    await shell.run('suspended');
    const [titles, line] = shell.out().split('\n');
    expect(titles).toMatch(/^TAG +REQUEST +OPERATION +GUEST +LENGTH +EVENT +SINCE$/);
    expect(line).toMatch(/^A-long-tag +w\d+ +write +64k +4k +pwritev +0\.0s$/);
    // Titles stand above what they name.
    expect(line?.indexOf('write')).toBe(titles?.indexOf('OPERATION'));
  });
});

describe('requests', () => {
  it('tells what each waits for', async () => {
    const shell = await testShell({ 'file.align': '4096' });
    await runAll(shell, ['break pwritev_rmw_head A', 'aio_write -q 512 512', 'aio_write -q 1k 512']);
    shell.out();
    await shell.run('requests');
    const [first, second] = rows(shell.out());
    expect(first?.slice(1, 5)).toEqual(['write', '512', '512', 'breakpoint A']);
    expect(second?.slice(1, 5)).toEqual(['write', '1024', '512', first?.[0]]);
  });
});

describe('resume -a', () => {
  it('lets all go on, oldest first, whatever their tags', async () => {
    const shell = await testShell();
    await runAll(shell, ['break pwritev A', 'aio_write 0 4k', 'break pwritev B', 'aio_write 64k 4k']);
    shell.out();
    expect(await shell.run('resume -a')).toBe(0);
    await shell.run('aio_flush');
    const lines = shell.out().split('\n');
    expect(lines.filter((line) => line.startsWith('blkdebug'))).toEqual([
      "blkdebug: Resuming request 'A'",
      "blkdebug: Resuming request 'B'",
    ]);
    expect(lines.filter((line) => line.startsWith('wrote'))).toHaveLength(2);
  });

  it('takes -a for a tag where it is one, and fails as for a tag where nothing is suspended', async () => {
    const shell = await testShell();
    await runAll(shell, [
      'break pwritev A',
      'aio_write -q 0 4k',
      'break pwritev -a',
      'aio_write -q 64k 4k',
      'resume -a',
    ]);
    expect(shell.out()).toContain("Resuming request '-a'");
    await runAll(shell, ['suspended']);
    expect(rows(shell.out()).map(([tag]) => tag)).toEqual(['A']);
    await runAll(shell, ['resume -a']);
    shell.out();
    expect(await shell.run('resume -a')).toBeLessThan(0);
    expect(shell.out()).toBe('Could not resume request: No such file or directory\n');
  });

  it('leaves suspended what meets another breakpoint on its way', async () => {
    const shell = await testShell();
    await runAll(shell, ['break write_aio A', 'break pwritev B', 'aio_write -q 0 4k', 'resume -a', 'suspended']);
    expect(rows(shell.out()).map(([tag]) => tag)).toEqual(['B']);
  });
});

describe('cancel', () => {
  it('ends the request with ECANCELED and lets go what waits for it', async () => {
    const shell = await testShell({ 'file.align': '4096' });
    await runAll(shell, ['break pwritev_rmw_head A', 'aio_write 512 512', 'aio_write 1k 512']);
    shell.out();
    expect(await shell.run('cancel A')).toBe(0);
    await shell.run('aio_flush');
    expect(shell.out()).toContain('aio_write failed: Operation canceled\nwrote 512/512 bytes at offset 1024');
    expect([shell.image()[512], shell.image()[1024]]).toEqual([0, 0xcd]);
    await runAll(shell, ['requests', 'suspended']);
    expect(shell.out()).toBe('');
  });

  it('of a synchronous command gives its failure', async () => {
    const shell = await testShell();
    await runAll(shell, ['break pwritev A', 'write 0 4k', 'cancel A']);
    expect(shell.out()).toContain('write failed: Operation canceled');
    expect(shell.session.exitStatus).toBe(1);
  });

  it('of an unknown tag fails', async () => {
    const shell = await testShell();
    expect(await shell.run('cancel X')).toBeLessThan(0);
    expect(shell.out()).toBe('Could not cancel request: No such file or directory\n');
  });
});

describe('events', () => {
  it('lists what has fired on the node with rules, with what it led to', async () => {
    const shell = await testShell({ 'file.inject-error.0.event': 'pwritev', 'file.inject-error.0.errno': '28' });
    await runAll(shell, ['break write_aio A', 'aio_write -q 0 4k', 'resume A', 'aio_flush']);
    shell.out();
    await shell.run('events -n 3');
    expect(rows(shell.out()).map(([, event, , operation, node, notes]) => [event, operation, node, notes])).toEqual([
      ['write_aio', 'write', 'blkdebug', 'suspended A, resumed A'],
      ['pwritev', 'write', 'blkdebug', 'ENOSPC by rule 1 in w4, write 4k at guest offset 0, file offset 0'],
      ['pwritev_done', 'write', 'blkdebug', '-'],
    ]);
  });

  it('takes a part of a line, a request or an event as a filter', async () => {
    const shell = await testShell();
    await runAll(shell, ['write -q 0 4k', 'read -q 0 4k', 'events -a read_']);
    const [read, ...others] = rows(shell.out());
    expect(read?.[1]).toBe('read_aio');
    expect(others).toEqual([]);
    await shell.run(`events -j ${read?.[2]}`);
    expect((JSON.parse(shell.out()) as { event: string }[]).map(({ event }) => event)).toEqual(['read_aio']);
    await shell.run(`events -a ${read?.[0]}`);
    expect(rows(shell.out())).toEqual([read]);
    await shell.run('events -a v_d');
    expect(rows(shell.out()).map(([, event]) => event)).toContain('pwritev_done');
    await shell.run('events nothing-like-that');
    expect(shell.out()).toBe('');
  });

  it('counts all 48, those that never fired among them', async () => {
    const shell = await testShell();
    await runAll(shell, ['write -q 0 4k', 'write -q 0 4k', 'events -c']);
    const counts = new Map(rows(shell.out()).map(([event = '', ...numbers]) => [event, numbers]));
    expect(counts.size).toBe(48);
    expect(counts.get('pwritev')).toEqual(['2', '4']);
    expect(counts.get('write_aio')).toEqual(['2', '0']);
    expect(counts.get('cluster_alloc')).toEqual(['0', '0']);
  });

  it('remembers the latest only', async () => {
    const shell = await testShell();
    for (let at = 0; at < 600; at += 1) await shell.run('write -q 0 512');
    await shell.run('events -a -n 5000');
    const numbers = rows(shell.out()).map(([number]) => Number(number?.slice(1)));
    expect(numbers).toHaveLength(1024);
    expect(numbers.at(-1)).toBe((numbers[0] ?? 0) + 1023);
  });

  it.each(['events -n 0', 'events -n x', 'events a b'])('refuses "%s"', async (line) => {
    const shell = await testShell();
    expect(await shell.run(line)).toBeLessThan(0);
  });
});

describe('help', () => {
  it('tells of an event, also by that word, and lists all of them', async () => {
    const shell = await testShell(null);
    await shell.run('help event cluster_alloc');
    const text = shell.out();
    expect(text).toMatch(/^cluster_alloc -- /);
    await shell.run('help cluster_alloc');
    expect(shell.out()).toBe(text);
    await shell.run('help events');
    expect(shell.out().match(/^ \w+ +[A-Z]/gm)).toHaveLength(48);
  });

  it('refuses what qemu-io refuses, in its words', async () => {
    const shell = await testShell(null);
    expect(await shell.run('help one two')).toBeLessThan(0);
    expect(shell.err()).toBe('bad argument count 2 to help, expected between 0 and 1 arguments\n');
    expect(await shell.run('help event none_such')).toBeLessThan(0);
    expect(shell.out()).toBe('event none_such not found\n');
  });
});

class FakeViews implements SessionViews {
  readonly calls: string[] = [];
  recording: RecordingStatus | null = null;
  isLive = false;
  async startRecording(path: string): Promise<void> {
    this.recording = { path, records: 3 };
  }
  stopRecording(): RecordingStatus {
    const status = this.recording ?? { path: '', records: 0 };
    this.recording = null;
    return status;
  }
  async setLive(isOn: boolean): Promise<void> {
    this.isLive = isOn;
  }
  setLiveRows(rows: number): void {
    this.calls.push(`rows ${rows}`);
  }
}

describe('record and live', () => {
  it('drive the views, and tell how they stand', async () => {
    const shell = await testShell();
    const views = new FakeViews();
    shell.session.views = views;
    await runAll(shell, [
      'record',
      'record start run.html',
      'record',
      'record stop',
      'live',
      'live on',
      'live',
      'live rows 4',
    ]);
    expect(shell.out().split('\n')).toEqual([
      'nothing is recorded',
      'recording to run.html: 3 records',
      'recorded to run.html: 3 records',
      'the panel is off',
      'the panel is on',
      '',
    ]);
    expect(views.calls).toEqual(['rows 4']);
  });

  it.each(['record start', 'record stop x', 'record go', 'live maybe', 'live rows', 'live rows 0', 'live rows x'])(
    'refuse "%s"',
    async (line) => {
      const shell = await testShell();
      shell.session.views = new FakeViews();
      expect(await shell.run(line)).toBeLessThan(0);
      expect(shell.out()).not.toBe('');
    },
  );

  it('say so where there is nothing to drive', async () => {
    const shell = await testShell();
    expect(await shell.run('record start x.html')).toBeLessThan(0);
    expect(await shell.run('live on')).toBeLessThan(0);
    expect(shell.err()).toBe('qemu-io: nothing can be recorded here\nqemu-io: there is no terminal for the panel\n');
  });
});

describe('the event bus', () => {
  it('tells when rules, breakpoints or the image change, and before it closes', async () => {
    const shell = await testShell();
    const records: TraceRecord[] = [];
    shell.session.context.trace.subscribe((record) => records.push(record));
    const lines = [
      'break pwritev A',
      'length',
      'rule set 1 nth=2',
      'rule disable 1',
      'rule enable 1',
      'remove_break A',
      'break read_aio B',
      'aio_read 0 512',
      'resume B',
      'reopen',
      'close',
    ];
    await runAll(shell, lines);
    const changes = records.filter(({ kind }) => /^(?:rule-.*ed|image-.*)$/.test(kind));
    expect(changes.map((record) => ('rule' in record ? `${record.kind} ${record.rule}` : record.kind))).toEqual([
      'rule-added 1',
      'rule-changed 1',
      'rule-disabled 1',
      'rule-enabled 1',
      'rule-removed 1',
      'rule-added 2',
      'rule-exhausted 2',
      'image-reopened',
      'image-closing',
      'image-closed',
    ]);
    expect(changes[1]).toMatchObject({ view: { kind: 'suspend', effect: 'A', conditions: 'nth=2', status: 'armed' } });
  });

  it('tells of the rules of an image that is opened, and that it is open', async () => {
    const shell = await testShell();
    await shell.run('close');
    const kinds: string[] = [];
    shell.session.context.trace.subscribe(({ kind }) => kinds.push(kind));
    await shell.run('open -o driver=raw,file.driver=blkdebug,file.inject-error.0.event=none,file.image.filename=disk');
    expect(kinds.slice(0, 2)).toEqual(['command', 'rule-added']);
    expect(kinds).toContain('rule-hit');
    expect(kinds.at(-1)).toBe('image-opened');
  });
});
