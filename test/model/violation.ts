/** The search for a script that breaks the model of a disk, and its bounds from the environment. */
import fc from 'fast-check';
import { type Plants, runScript, type Script, scriptText } from './run-script.ts';

const seed = Number(process.env.SEED ?? 1);
/** How many random scripts a test tries. */
export const caseCount = Number(process.env.CASES ?? 250);

/** The shortest script that breaks the model, and how; null if none was found. */
export async function violationOf(
  scripts: fc.Arbitrary<Script>,
  numRuns: number,
  plants: Plants,
): Promise<string | null> {
  const property = fc.asyncProperty(scripts, (script) => runScript(script, plants));
  const found = await fc.check(property, { seed, numRuns });
  if (!found.failed || found.counterexample === null) return null;
  const [script] = found.counterexample;
  return `${scriptText(script)}\n=> ${String(found.errorInstance)}`;
}
