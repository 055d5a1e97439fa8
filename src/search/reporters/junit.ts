/** The reporter that writes results as JUnit's XML: a test for each case, a failure for each that is a find. */
import type { Reporter } from '../engine.ts';
import { caseNumber } from '../results.ts';

/** Characters that XML cannot say at all, or only as a name. */
// oxlint-disable-next-line no-control-regex
const SPECIAL = /[&<>"\u0000-\u001f\ufffe\uffff]/g;
const names: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function xml(text: string): string {
  return text.replaceAll(SPECIAL, (mark) => names[mark] ?? ' ');
}

/** Hands the whole file to `write` when the search ends. */
export function junit(write: (text: string) => void): Reporter {
  const cases: string[] = [];
  let name = '';
  let failures = 0;
  return {
    begin({ search }) {
      name = xml(search);
    },
    result(result, _line, isFind) {
      const opening = `<testcase classname="${name}" name="${xml(`${caseNumber(result)} ${result.title}`)}"`;
      if (!isFind) {
        cases.push(`    ${opening}/>\n`);
        return;
      }
      failures += 1;
      const failure = `<failure type="${xml(result.verdict)}" message="${xml(result.detail)}"/>`;
      cases.push(`    ${opening}>${failure}</testcase>\n`);
    },
    end() {
      const counts = `tests="${cases.length}" failures="${failures}" errors="0"`;
      write('<?xml version="1.0" encoding="UTF-8"?>\n');
      write(`<testsuites ${counts}>\n  <testsuite name="blkscope ${name}" ${counts} skipped="0">\n`);
      for (let at = 0; at < cases.length; at += 1024) write(cases.slice(at, at + 1024).join(''));
      write('  </testsuite>\n</testsuites>\n');
    },
  };
}
