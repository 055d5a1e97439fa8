/** The page of a search: its finds, each with the script that shows it and the timeline of its case. */
import type { VerdictName } from '../../search/verdict.ts';

/** A find for the page. */
export interface PageFind {
  readonly title: string;
  readonly verdict: VerdictName;
  readonly detail: string;
  readonly lines: readonly string[];
  readonly rules: string;
  /** The page of its recording. */
  readonly html: string;
}

/** Nothing may be loaded from anywhere; the timelines run the script that they bring. */
const policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

const style = `
:root { color-scheme: light dark; font-family: system-ui, sans-serif; }
body { margin: 1.5rem; }
section { margin-block: 2rem; }
pre { background: color-mix(in srgb, currentColor 8%, transparent); padding: 0.6rem; overflow: auto; }
iframe { width: 100%; height: 32rem; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
.verdict { font-weight: 600; }
`;

const marks: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escaped(text: string): string {
  return text.replaceAll(/[&<>"]/g, (mark) => marks[mark] ?? mark);
}

/** One file that loads nothing from a network. */
export function findsPage(finds: readonly PageFind[]): string {
  const count = `${finds.length} ${finds.length === 1 ? 'find' : 'finds'}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>blkscope: ${count}</title>
<style>${style}</style>
</head>
<body>
<h1>${count}</h1>
${finds.map(section).join('\n')}
</body>
</html>
`;
}

function section({ title, verdict, detail, lines, rules, html }: PageFind, index: number): string {
  return `<section>
<h2>${index + 1}. ${escaped(title)}</h2>
<p><span class="verdict">${verdict}</span>: ${escaped(detail)}</p>
<h3>Commands</h3>
<pre>${escaped(lines.join('\n'))}</pre>
${rules === '' ? '' : `<h3>Rules</h3>\n<pre>${escaped(rules.trim())}</pre>`}
${html === '' ? '' : timeline(index + 1, html)}
</section>`;
}

function timeline(number: number, html: string): string {
  return `<h3>Timeline</h3>\n<iframe title="timeline of find ${number}" srcdoc="${escaped(html)}"></iframe>`;
}
