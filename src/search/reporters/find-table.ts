/** The reporter that prints a table of the finds, and how many cases there were. */
import type { Find, Reporter } from '../engine.ts';
import { caseNumber } from '../results.ts';
import { verdictNames } from '../verdict.ts';

/** Worst first, then by their first case. */
export function inOrder(finds: readonly Find[]): Find[] {
  const rank = ({ verdict }: Find): number => verdictNames.indexOf(verdict);
  return finds.toSorted(
    (one, other) => rank(one) - rank(other) || one.first.unit - other.first.unit || one.first.part - other.first.part,
  );
}

/** Prints to `write` when the search ends. */
export function findTable(write: (text: string) => void): Reporter {
  let leaks = 0;
  let hazards = 0;
  return {
    result({ verdict, hazard }, _line, isFind) {
      if (hazard !== '') hazards += 1;
      if (verdict === 'leak' && !isFind) leaks += 1;
    },
    end({ cases, finds, unitsDone, unitCount }, isWhole) {
      for (const [index, find] of inOrder(finds).entries()) {
        const { verdict, count, first, signature } = find;
        const number = `${index + 1}.`.padEnd(4);
        write(`${number}${verdict}: ${signature}\n`);
        write(`    case ${caseNumber(first)}${count > 1 ? ` and ${count - 1} more` : ''}: ${first.title}\n`);
        write(`    ${first.detail}\n`);
        if (first.hazard !== '') write(`    hazard: ${first.hazard}\n`);
      }
      const part = isWhole ? '' : ` (${unitsDone} of ${unitCount} units)`;
      const lost = leaks === 0 ? '' : `, ${leaks} with leaked clusters`;
      const marked = hazards === 0 ? '' : `, ${hazards} with hazards`;
      write(`${cases} cases${part}, ${finds.length} ${finds.length === 1 ? 'find' : 'finds'}${lost}${marked}\n`);
    },
  };
}
