/**
 * The page of a recording: one file that loads nothing from a network. It is `pageStart`, the recording's lines in
 * pieces (`packedPiece`), and `pageEnd`; the page's script unpacks and reads them when it is opened. So the page can be
 * written while the session runs.
 *
 * The parts are text in which nothing is escaped (`String.raw`) and everything is ASCII.
 */
import { Errno } from '../../util/errno.ts';
import { contentScript } from './content-script.ts';
import { pageMarkup } from './markup.ts';
import { modelScript } from './model-script.ts';
import { pageStyle } from './stylesheet.ts';
import { timelineScript } from './timeline-script.ts';
import { viewScript } from './view-script.ts';
import { wordsScript } from './words-script.ts';

/** Nothing may be loaded from anywhere, whatever a file name in the recording says. */
const policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/** The element of a piece: whole lines of NDJSON, compressed by deflate without a header, in base64. */
export function packedPiece(compressed: Buffer): string {
  return `<script type="application/octet-stream" class="run">${compressed.toString('base64')}</script>\n`;
}

const errnoNames = Object.fromEntries(Object.entries(Errno).map(([name, errno]) => [errno, name]));

export const pageScript = `'use strict';
const errnoNames = ${JSON.stringify(errnoNames)};
${modelScript}
${wordsScript}
${timelineScript}
${viewScript}
${contentScript}`;

export const pageStart = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>blkscope recording</title>
<style>${pageStyle}</style>
</head>
<body>
${pageMarkup}
<script>
${pageScript}
</script>
`;

export const pageEnd = `<script>const whenShown = showPacked();</script>
</body>
</html>
`;
