/** Orders in words: whose turn it was, and where it stopped. */
import type { Stop } from '../scheduler.ts';
import type { Step } from './step-recorder.ts';

/** Steps of one request in a row. */
export interface Turn {
  /** The request, by name. */
  readonly name: string;
  /** Where it stopped in the end; null if it went on to its own end. */
  readonly until: Stop | null;
}

/** The turns of an order. */
export function turnsOf(steps: readonly Step[]): Turn[] {
  const turns: Turn[] = [];
  for (const [index, { chosen }] of steps.entries()) {
    if (steps[index + 1]?.chosen === chosen) continue;
    const next = steps.slice(index + 1).find((step) => step.chosen === chosen);
    turns.push({ name: chosen, until: next?.from ?? null });
  }
  return turns;
}

/** The line of the script that a request belongs to, from 1; 0 for one outside of the script. */
export function lineOf(name: string): number {
  return Number.parseInt(name, 10);
}

/** The lines whose requests took turns, in the order of the script. */
export function linesOf(steps: readonly Step[]): number[] {
  const lines = new Set<number>();
  for (const { chosen, enabled } of steps) if (enabled.length > 1) lines.add(lineOf(chosen));
  return [...lines].sort((one, other) => one - other);
}

/** A stop in words. */
function stopName({ before }: Stop): string {
  if (before.kind === 'event') return before.event;
  return before.kind === 'file' ? `a ${before.file.kind} of the file` : 'its beginning';
}

/** "line 2 (aio_write 0 4k) up to pwritev, then line 3 (discard 0 64k), then line 2". */
export function describeOrder(steps: readonly Step[], lines: readonly string[]): string {
  const contested = steps.filter(
    ({ enabled }, index) => enabled.length > 1 || (steps[index - 1]?.enabled.length ?? 1) > 1,
  );
  const named = new Set<number>();
  const texts = turnsOf(contested).map(({ name, until }) => {
    const line = lineOf(name);
    const text = lines[line - 1];
    const isNew = !named.has(line) && text !== undefined;
    named.add(line);
    return `line ${line}${isNew ? ` (${text.trim()})` : ''}${until === null ? '' : ` up to ${stopName(until)}`}`;
  });
  return texts.length === 0 ? 'the only order' : texts.join(', then ');
}
