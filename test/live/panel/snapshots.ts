/** Snapshots and records for tests of the views. */
import type { FiredEvent } from '../../../src/block/events/history.ts';
import type { TraceDetail, TraceRecord } from '../../../src/block/events/trace.ts';
import type { EventsLine } from '../../../src/live/record/schema.ts';
import type { SuspendedRequest } from '../../../src/block/debug/port.ts';
import type { RuleView } from '../../../src/block/debug/rules.ts';
import type { Snapshot } from '../../../src/live/snapshot.ts';

export const rule: RuleView = {
  number: 1,
  kind: 'inject-error',
  event: 'l2_update',
  effect: 'EIO',
  conditions: 'state=2',
  status: 'armed',
  settings: { event: 'l2_update', errno: '5', state: '2' },
  active: false,
  hits: 0,
  injected: 0,
  lastSkip: null,
};

export const suspended: SuspendedRequest = {
  tag: 'A',
  request: 4,
  operation: 'aio_write',
  guestOffset: 0,
  bytes: 65536,
  event: 'cluster_alloc',
  sinceNs: 1e9,
};

export const emptySnapshot: Snapshot = {
  timeNs: 1e9,
  nodes: [],
  debugNode: null,
  state: null,
  ruleCount: 0,
  rules: [],
  suspendedCount: 0,
  suspended: [],
  requestCount: 0,
  requests: [],
};

/** qcow2 over blkdebug over a file; state 2, three rules, one request suspended and one behind it. */
export const snapshot: Snapshot = {
  timeNs: 2e9,
  nodes: [
    { name: '#top', driver: 'qcow2', file: 'disk.qcow2' },
    { name: '#debug', driver: 'blkdebug', file: 'disk.qcow2' },
    { name: '#file', driver: 'file', file: 'disk.qcow2' },
  ],
  debugNode: '#debug',
  state: {
    value: 2,
    change: { from: 1, to: 2, rule: 2, event: 'write_aio', request: 4, operation: 'aio_write', timeNs: 1.5e9 },
  },
  ruleCount: 3,
  rules: [
    rule,
    { ...rule, number: 2, kind: 'set-state', event: 'write_aio', effect: '1→2', conditions: 'state=1', hits: 1 },
    { ...rule, number: 3, kind: 'suspend', event: 'pwritev', effect: 'B', conditions: '', status: 'disabled' },
  ],
  suspendedCount: 1,
  suspended: [suspended],
  requestCount: 2,
  requests: [
    {
      request: 4,
      operation: 'aio_write',
      guestOffset: 0,
      bytes: 65536,
      waitsFor: 'breakpoint A',
      startedNs: 1e9,
      sinceNs: 1e9,
    },
    {
      request: 5,
      operation: 'aio_read',
      guestOffset: 8192,
      bytes: 4096,
      waitsFor: 'w4',
      startedNs: 1.5e9,
      sinceNs: 1.5e9,
    },
  ],
};

/** Makes records with sequence numbers from 1, a microsecond apart. */
class Records {
  readonly all: TraceRecord[] = [];

  add(request: number, node: string, detail: TraceDetail): TraceRecord {
    const sequence = this.all.length + 1;
    const record: TraceRecord = { sequence, timeNs: 1_000_000_000 + sequence * 1000, request, node, ...detail };
    this.all.push(record);
    return record;
  }
}

/** A write that is suspended twice by one event, waits for another request, changes the state and fails. */
export function eventfulRequest(): TraceRecord[] {
  const records = new Records();
  const begin = { kind: 'request-begin', operation: 'write' } as const;
  records.add(4, '#top', { ...begin, guestOffset: 4096, bytes: 512 });
  records.add(4, '#top', { kind: 'event', event: 'pwritev' });
  records.add(4, '#debug', { kind: 'event', event: 'cluster_alloc' });
  records.add(4, '#debug', { kind: 'rule-hit', rule: 7, event: 'cluster_alloc' });
  records.add(4, '#debug', { kind: 'suspend', tag: 'A', event: 'cluster_alloc' });
  records.add(4, '#debug', { kind: 'rule-hit', rule: 6, event: 'cluster_alloc' });
  records.add(4, '#debug', { kind: 'suspend', tag: 'B<', event: 'cluster_alloc' });
  records.add(4, '#debug', { kind: 'resume', tag: 'A' });
  records.add(4, '#debug', { kind: 'resume', tag: 'B<' });
  records.add(4, '#top', { kind: 'lock-wait', on: 'w3' });
  records.add(4, '#debug', { kind: 'event', event: 'write_aio' });
  records.add(4, '#debug', { kind: 'rule-skip', rule: 1, event: 'write_aio', reason: 'not in state 3' });
  records.add(4, '#debug', { kind: 'rule-hit', rule: 2, event: 'write_aio' });
  records.add(4, '#debug', { kind: 'state-change', from: 1, to: 2, rule: 2 });
  records.add(4, '#debug', { ...begin, fileOffset: 327680, bytes: 512 });
  records.add(4, '#debug', { kind: 'error-injected', rule: 1, errno: 28 });
  records.add(4, '#debug', {
    kind: 'hazard',
    hazard: 'freed-in-flight',
    text: 'w4 frees host 64k@320k under w3',
    other: 3,
    fileOffset: 327680,
    bytes: 65536,
  });
  records.add(4, '#debug', { kind: 'request-end', operation: 'write', errno: 28 });
  records.add(4, '#top', { kind: 'request-end', operation: 'write', errno: 28 });
  // Never ends.
  records.add(9, '#top', { kind: 'request-begin', operation: 'read', guestOffset: 2 ** 40 + 512, bytes: 4096 });
  records.add(9, '#debug', { kind: 'suspend', tag: 'Z', event: 'l2_load' });
  return records.all;
}

/** A change of each kind of the rules and of the image, a fault, and a command that fails. */
export function changes(): TraceRecord[] {
  const records = new Records();
  for (const kind of ['rule-added', 'rule-changed'] as const) records.add(0, '#debug', { kind, rule: 1, view: rule });
  for (const kind of ['rule-enabled', 'rule-disabled', 'rule-exhausted', 'rule-removed'] as const) {
    records.add(4, '#debug', { kind, rule: 1 });
  }
  records.add(4, '#debug', { kind: 'fault-injected', rule: 1, fault: 'drop' });
  records.add(0, '', { kind: 'command', line: 'write 0 64k', depth: 0 });
  records.add(4, '', { kind: 'output', stream: 'stdout', text: 'wrote\n' });
  records.add(0, '', { kind: 'command-failed', depth: 0, errno: 28 });
  for (const kind of ['image-opened', 'image-reopened', 'image-closing', 'image-closed'] as const) {
    records.add(0, '#top', { kind });
  }
  return records.all;
}

/** The events of such a request, as a panel gets them: it was suspended twice, waited, changed the state and failed. */
export function eventfulEvents(): EventsLine {
  const base = { request: 4, operation: 'aio_write', parent: 0, node: 'blkdebug', onDebugNode: true, notes: [] };
  const latest: FiredEvent[] = [
    {
      ...base,
      number: 11,
      event: 'write_aio',
      notes: [
        { kind: 'state', from: 1, to: 2, rule: 2 },
        { kind: 'error', errno: 28, rule: 1 },
      ],
    },
    {
      ...base,
      number: 3,
      event: 'cluster_alloc',
      notes: [
        { kind: 'suspend', tag: 'A' },
        { kind: 'suspend', tag: 'B<' },
        { kind: 'resume', tag: 'A' },
        { kind: 'wait', on: 'w3' },
      ],
    },
    { ...base, number: 2, event: 'l2_load' },
    { ...base, number: 1, event: 'none', request: 0, operation: '' },
  ];
  return { kind: 'events', stateChangedAt: 11, latest };
}
