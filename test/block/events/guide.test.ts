import { describe, expect, it } from 'vitest';
import { eventGuide } from '../../../src/block/events/guide.ts';
import { type EventName, eventNames } from '../../../src/block/events/events.ts';

describe('the guide to the events', () => {
  it('has every event', () => {
    expect(Object.keys(eventGuide).sort()).toEqual([...eventNames].sort());
  });

  it('names in "after" only events that can follow', () => {
    const followed = new Map<EventName, readonly EventName[]>(eventNames.map((name) => [name, eventGuide[name].after]));
    for (const [name, after] of followed) expect(after, name).not.toContain(name);
  });
});
