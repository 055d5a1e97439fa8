/** The page's script: the words for requests, offsets, sizes and times, and the filter that looks for them. */

export const wordsScript = String.raw`
/* An offset of the guest's disk or of the file; old recordings do not say which. */
function offsetOf(record) {
  if (record.guestOffset !== undefined) return [record.guestOffset, 'guest '];
  if (record.fileOffset !== undefined) return [record.fileOffset, 'file '];
  return [record.offset, ''];
}

/* Whose request an error came to, and where: ", in w7 write 64k@guest 128k, file 320k". */
function placeText({ root, operation, guestOffset, guestBytes, fileOffset }) {
  let text = root ? ', in ' + nameOf({ id: root, operation }) : '';
  if (guestOffset !== undefined) text += ' ' + operation + ' ' + compact(guestBytes) + '@guest ' + compact(guestOffset);
  if (fileOffset !== undefined) text += ', file ' + compact(fileOffset);
  return text;
}

/* The words of a request that a filter can find. */
function hayOf(run, r) {
  if (r.hay === null) {
    const words = new Set([title(r), r.isOpen ? 'unfinished' : 'done', r.command ? r.command.line : '']);
    for (const one of r.spans) words.add(one.operation).add(one.node).add(nodeLabel(run, one.node));
    for (const one of r.marks) words.add(one.text).add(one.more).add(one.node).add(nodeLabel(run, one.node));
    for (const one of r.holds) words.add('suspended ' + one.tag);
    if (r.errno !== 0) words.add(errnoName(r.errno)).add('failed error');
    r.hay = [...words].join('\n').toLowerCase();
  }
  return r.hay;
}

function matches(run, r, words) {
  const hay = words.length > 0 ? hayOf(run, r) : '';
  for (const word of words) {
    const wanted = !word.startsWith('-');
    const text = wanted ? word : word.slice(1);
    if (text === '') continue;
    const isName = /^[a-z]\d+$/.test(text) && run.names.has(text);
    if ((isName ? isNamed(r, text) : hay.includes(text)) !== wanted) return false;
  }
  return true;
}

/* A request has its parts with it. */
function isNamed(r, text) {
  return nameOf(r) === text || (r.parent > 0 && nameOf({ id: r.parent, operation: r.operation }) === text);
}

function nodeLabel(run, node) {
  const snapshot = run.open;
  const found = snapshot && snapshot.nodes.find((one) => one.name === node);
  return found ? found.driver : node;
}

/* A request's short name, as in the panel: "w4". */
function nameOf(r) {
  if (r.id === 0) return '';
  return (r.operation.replace(/^aio_/, '')[0] || 'q') + r.id;
}

/* "w6 of w4" for a part of another request. */
function partName(r) {
  return r.parent ? nameOf(r) + ' of ' + nameOf({ id: r.parent, operation: r.operation }) : nameOf(r);
}

function title(r) {
  if (r.offset === null || r.operation === 'flush') return r.operation;
  return r.operation + ' ' + (r.bytes ? compact(r.bytes) : '') + '@' + compact(r.offset);
}

function compact(bytes) {
  for (const [unit, suffix] of [[2 ** 40, 'T'], [2 ** 30, 'G'], [2 ** 20, 'M'], [2 ** 10, 'k']]) {
    if (bytes >= unit && bytes % unit === 0) return bytes / unit + suffix;
  }
  return String(bytes);
}

function duration(ns) {
  if (ns < 1000) return Math.round(ns) + ' ns';
  if (ns < 1e6) return trim(ns / 1e3) + ' \u00b5s';
  if (ns < 1e9) return trim(ns / 1e6) + ' ms';
  if (ns < 60e9) return trim(ns / 1e9) + ' s';
  return Math.floor(ns / 60e9) + ' min ' + Math.round(ns % 60e9 / 1e9) + ' s';
}

function trim(value) {
  return String(Number(value.toPrecision(value >= 100 ? 4 : 3)));
}

function errnoName(errno) {
  return errnoNames[errno] || 'errno ' + errno;
}
`;
