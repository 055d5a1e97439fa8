/** The filter of events that commands, the panel and consoles have, and the consequences of an event in words. */
import { injectedText, requestName } from '../../util/compact.ts';
import type { EventNote, FiredEvent } from './history.ts';

/**
 * The events that a filter means: those of a request and of its parts ("w7", if one of `fired` has this name: "l2"
 * seldom is one), the one of a number ("#5", "5"), or all with a part of the text in any other column. An empty one
 * means all.
 */
export function eventFilter(filter: string, fired: Iterable<FiredEvent>): (event: FiredEvent) => boolean {
  if (filter === '') return () => true;
  if (/^#?\d+$/.test(filter)) return ({ number }) => number === Number(filter.replace('#', ''));
  if (/^[a-z]\d+$/.test(filter)) {
    const isNamed = ({ operation, request, parent }: FiredEvent): boolean =>
      (request !== 0 && requestName(operation, request) === filter) ||
      (parent !== 0 && requestName(operation, parent) === filter);
    for (const one of fired) if (isNamed(one)) return isNamed;
  }
  return ({ event, operation, node, notes }) =>
    [event, operation, node].some((text) => text.includes(filter)) ||
    notes.some((note) => noteText(note).includes(filter));
}

/** The column LED TO of the command `events`: "suspended A", "EIO by rule 4 in w7, …". */
export function noteText(note: EventNote): string {
  switch (note.kind) {
    case 'suspend':
      return `suspended ${note.tag}`;
    case 'resume':
      return `resumed ${note.tag}`;
    case 'error':
      return injectedText(note.errno, note.rule, note);
    case 'state':
      return `state ${note.from} to ${note.to}`;
    case 'wait':
      return `waits for ${note.on}`;
    case 'hazard':
      return `hazard: ${note.text}`;
  }
}
