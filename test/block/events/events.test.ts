/** The table of events. */
import { expect, it } from 'vitest';
import { Event, eventByName, eventName, eventNames } from '../../../src/block/events/events.ts';

it('the number of an event is the place of its name in the list', () => {
  expect(Object.entries(Event)).toEqual(eventNames.map((name, index) => [name.toUpperCase(), index]));
  for (const name of eventNames) expect(eventName(eventByName(name) ?? Event.NONE)).toBe(name);
});
