/** The filter of events: a request with its parts, a number, or a text in any column. */
import { describe, expect, it } from 'vitest';
import { eventFilter } from '../../../src/block/events/event-filter.ts';
import type { FiredEvent } from '../../../src/block/events/history.ts';

function fired(number: number, more: Partial<FiredEvent> = {}): FiredEvent {
  const plain = { request: 7, operation: 'write', parent: 0, node: 'blkdebug', onDebugNode: true, notes: [] };
  return { number, event: 'pwritev', ...plain, ...more };
}

const error = { kind: 'error', errno: 28, rule: 4, root: 7, operation: 'write' } as const;
const all = [
  fired(1, { event: 'l2_load' }),
  fired(2, { request: 21, parent: 7 }),
  fired(3, { request: 8, operation: 'read', node: '#block128' }),
  fired(4, { request: 0, operation: '' }),
  fired(5, { request: 9, operation: 'length', notes: [error] }),
  fired(6, { request: 10, notes: [{ kind: 'suspend', tag: 'w7' }] }),
];

function numbers(filter: string, events = all): number[] {
  return events.filter(eventFilter(filter, events)).map(({ number }) => number);
}

describe('the filter of events', () => {
  it('takes the name of a request for it and its parts', () => {
    expect(numbers('w7')).toEqual([1, 2]);
    expect(numbers('w21')).toEqual([2]);
    expect(numbers('l9')).toEqual([5]);
  });

  it('takes it for a text if no request has that name', () => {
    expect(numbers('l2')).toEqual([1]);
    expect(numbers('w7', all.slice(2))).toEqual([5, 6]);
    // What runs outside of requests has no name, whatever its number would make of it.
    expect(numbers('q0')).toEqual([]);
  });

  it('takes a number for that of an event, and anything else for a part of a column', () => {
    expect(numbers('#3')).toEqual([3]);
    expect(numbers('3')).toEqual([3]);
    expect(numbers('ENOSPC')).toEqual([5]);
    expect(numbers('#block')).toEqual([3]);
    expect(numbers('read')).toEqual([3]);
    expect(numbers('suspended')).toEqual([6]);
    expect(numbers('')).toEqual([1, 2, 3, 4, 5, 6]);
  });
});
