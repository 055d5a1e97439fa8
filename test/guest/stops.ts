/** Stops requests at events and resumes them, as a user at the shell would: through its lines alone. */
import type { LiveProgram } from '../cli/live-program.ts';

export interface Stops {
  /** How often requests were stopped. */
  readonly count: number;
  /** The events at which requests were not stopped often enough. */
  missing(): string[];
}

/**
 * Keeps a breakpoint at each event, named like it, and resumes what it stops at once, until requests were stopped
 * `times` times at each.
 */
export function stopAtEvents(program: LiveProgram, events: readonly string[], times: number): Stops {
  const counts = new Map(events.map((event) => [event, 0]));
  let rest = '';
  program.child.stdout?.on('data', (data: Buffer) => {
    const lines = (rest + data.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const event = /Suspended request '(\w+)'/.exec(line)?.[1];
      if (event === undefined) continue;
      const count = (counts.get(event) ?? 0) + 1;
      counts.set(event, count);
      program.write(count < times ? `resume ${event}\nbreak ${event} ${event}\n` : `resume ${event}\n`);
    }
  });
  for (const event of events) program.write(`break ${event} ${event}\n`);
  return {
    get count() {
      return [...counts.values()].reduce((sum, count) => sum + count, 0);
    },
    missing: () => events.filter((event) => (counts.get(event) ?? 0) < times),
  };
}
