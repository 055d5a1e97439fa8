/** Debug events in words, for `help event`. */
import { type EventName, eventNames } from '../../block/events/events.ts';
import { eventGuide } from '../../block/events/guide.ts';

/** Every event with its sentence. */
export function eventList(): string {
  const width = Math.max(...eventNames.map((name) => name.length));
  return eventNames.map((name) => ` ${name.padEnd(width)}  ${eventGuide[name].meaning}\n`).join('');
}

/** The meaning of an event; ours, in the place of qemu-io's "not found". */
export function eventText(name: EventName): string {
  const { meaning, firedBy, onDisk, before, after } = eventGuide[name];
  const lines = [`fired by: ${firedBy}`, `on disk: ${onDisk}`];
  if (before.length > 0) lines.push(`often after: ${before.join(', ')}`);
  if (after.length > 0) lines.push(`often before: ${after.join(', ')}`);
  return `${name} -- ${meaning}\n\n${lines.map((line) => ` ${line}\n`).join('')}\n`;
}
