/** The line on a terminal that says how far a search has come. */
import type { Progress } from '../../search/engine.ts';

const EVERY_MS = 200;

/** Shows the line again and again by `show`, if there is a place for it; the function returned takes it away. */
export function progressLine(
  name: string,
  show: ((line: string) => void) | undefined,
  progress: () => Progress,
): () => void {
  // The timer also keeps the program alive while only threads work.
  const start = Date.now();
  const timer = setInterval(() => show?.(describeProgress(name, progress(), (Date.now() - start) / 1000)), EVERY_MS);
  return () => {
    clearInterval(timer);
    show?.('');
  };
}

/** "sweep: 1200 of 5000 units, 1200 cases, 310/s, 2 finds, 12 s left". */
function describeProgress(name: string, { unitsDone, unitCount, cases, finds }: Progress, seconds: number): string {
  const rate = seconds > 0 ? cases / seconds : 0;
  const left = unitsDone > 0 ? Math.ceil(((unitCount - unitsDone) * seconds) / unitsDone) : null;
  const parts = [
    `${name}: ${unitsDone} of ${unitCount} units`,
    `${cases} cases`,
    `${Math.round(rate)}/s`,
    `${finds.length} ${finds.length === 1 ? 'find' : 'finds'}`,
  ];
  return [...parts, ...(left === null ? [] : [`${left} s left`])].join(', ');
}
