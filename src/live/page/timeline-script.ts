/** The page's script, second part: draws the overview, the axis and the rows of requests as SVG. */

export const timelineScript = String.raw`
const ROW = 22;
const BAR = 14;
/* Rows drawn above and below what is seen. */
const MARGIN_ROWS = 4;

const view = {
  run: null, mode: 't', from: 0, to: 1, words: [], shown: [], picked: null, width: 0, label: 200, height: 0,
};

const byId = (id) => document.getElementById(id);
const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const esc = (text) => String(text).replace(/[&<>"]/g, (c) => escapes[c]);

/* The whole range in the units of the scale. */
function bounds() {
  const { run, mode } = view;
  if (mode === 's') return [0, Math.max(2, run.steps + 1)];
  return [run.t0, Math.max(run.t1, run.t0 + 1)];
}

const plotWidth = () => Math.max(50, view.width - view.label);
const xOf = (value) => view.label + (value - view.from) / (view.to - view.from) * plotWidth();
const valueAt = (x) => view.from + (x - view.label) / plotWidth() * (view.to - view.from);
const at = (moment) => moment[view.mode];

/* Shows a range; it stays within the recording, and no smaller than what can be told apart. */
function setRange(from, to) {
  const [low, high] = bounds();
  const smallest = view.mode === 's' ? 4 : Math.min(200, high - low);
  let size = Math.min(high - low, Math.max(smallest, to - from));
  let start = (from + to) / 2 - size / 2;
  if (to - from >= smallest) start = from;
  start = Math.max(low, Math.min(high - size, start));
  view.from = start;
  view.to = start + size;
  refresh();
}

function zoomAt(value, factor) {
  setRange(value - (value - view.from) * factor, value + (view.to - value) * factor);
}

function fit() {
  const [low, high] = bounds();
  setRange(low, high);
}

/* Which requests have a row: those that pass the filter and are in the range. */
function chooseRows() {
  const { run, words, from, to } = view;
  view.shown = run.requests.filter((r) => at(r.e) >= from && at(r.b) <= to && matches(run, r, words));
}

let isQueued = false;
function refresh() {
  if (isQueued) return;
  isQueued = true;
  requestAnimationFrame(() => { isQueued = false; drawAll(); });
}

function drawAll() {
  const chart = byId('chart');
  view.width = chart.clientWidth;
  view.label = view.width < 760 ? 158 : 210;
  chooseRows();
  view.height = view.shown.length * ROW;
  byId('spacer').style.height = view.height + 'px';
  const total = view.run.requests.length;
  byId('empty').hidden = view.shown.length > 0;
  byId('chart').hidden = view.shown.length === 0;
  const count = view.shown.length === total ? total + ' requests' : view.shown.length + ' of ' + total + ' requests';
  byId('count').textContent = count + ', ' + rangeText();
  drawOverview();
  drawAxis();
  drawRows();
}

function rangeText() {
  const { run, mode, from, to } = view;
  if (mode === 's') return 'records ' + Math.max(1, Math.round(from)) + ' to ' + Math.min(run.steps, Math.round(to));
  return duration(from - run.t0) + ' to ' + duration(to - run.t0);
}

/* Steps of 1, 2, 5 for at most so many ticks. */
function tickStep(range, most) {
  const rough = range / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const unit = rough / power;
  const step = (unit <= 1 ? 1 : unit <= 2 ? 2 : unit <= 5 ? 5 : 10) * power;
  return view.mode === 's' ? Math.max(1, step) : step;
}

function ticks() {
  const origin = view.mode === 's' ? 0 : view.run.t0;
  const step = tickStep(view.to - view.from, Math.max(2, Math.floor(plotWidth() / 110)));
  const found = [];
  for (let n = Math.ceil((view.from - origin) / step); origin + n * step <= view.to; n += 1) found.push(origin + n * step);
  return { found, step, origin };
}

function tickLabel(value, step, origin) {
  if (view.mode === 's') return String(value);
  const ns = value - origin;
  const [unit, name] = step >= 1e9 ? [1e9, ' s'] : step >= 1e6 ? [1e6, ' ms'] : step >= 1e3 ? [1e3, ' \u00b5s'] : [1, ' ns'];
  return String(Math.round(ns / unit)).replace(/\B(?=(\d{3})+$)/g, ' ') + name;
}

function drawAxis() {
  const parts = ['<svg width="' + view.width + '" height="34" role="img" aria-label="Scale"><text class="quiet small" x="8" y="23">request</text>'];
  const { found, step, origin } = ticks();
  for (const value of found) {
    const x = xOf(value).toFixed(1);
    parts.push('<path class="edge" d="M' + x + ' 28v6"/>');
    const anchor = x - view.label < 24 ? 'start' : x > view.width - 40 ? 'end' : 'middle';
    parts.push('<text class="quiet small" text-anchor="' + anchor + '" x="' + x + '" y="26">' + tickLabel(value, step, origin) + '</text>');
  }
  let lastX = -Infinity;
  for (const change of view.run.states) {
    const x = xOf(change[view.mode]);
    if (x < view.label || x > view.width) continue;
    parts.push('<path class="state" d="M' + x.toFixed(1) + ' 13v21"/>');
    const words = 'state ' + change.from + '\u2192' + change.to;
    if (x - lastX < words.length * 7) continue;
    lastX = x;
    const anchor = x > view.width - 90 ? 'end' : 'start';
    parts.push('<text class="state small" text-anchor="' + anchor + '" x="' + x.toFixed(1) + '" y="11">' + words + '</text>');
  }
  byId('axis').innerHTML = parts.join('') + '</svg>';
}

/* How many requests are in flight over the whole run, and where requests are suspended. */
function drawOverview() {
  const [low, high] = bounds();
  const { width, label } = view;
  const x = (value) => label + (value - low) / (high - low) * plotWidth();
  const columns = Math.max(1, Math.floor(plotWidth() / 3));
  const busy = new Float64Array(columns + 1);
  const held = new Uint8Array(columns + 1);
  const columnOf = (value) => Math.max(0, Math.min(columns - 1, Math.floor((value - low) / (high - low) * columns)));
  for (const r of view.run.requests) {
    if (!matches(view.run, r, view.words)) continue;
    busy[columnOf(at(r.b))] += 1;
    busy[columnOf(at(r.e)) + 1] -= 1;
    for (const one of r.holds) held.fill(1, columnOf(at(one.b)), columnOf(at(one.e)) + 1);
  }
  let most = 1;
  for (let c = 0, sum = 0; c < columns; c += 1) { sum += busy[c]; busy[c] = sum; most = Math.max(most, sum); }
  const parts = ['<svg width="' + width + '" height="44" role="img" aria-label="Overview: requests in flight, at most ' + most + '"><text class="quiet small" x="8" y="26">in flight, at most ' + most + '</text>'];
  for (let c = 0; c < columns; c += 1) {
    if (busy[c] > 0) {
      const h = 3 + 27 * Math.sqrt(busy[c] / most);
      parts.push('<rect class="density" x="' + (label + c * 3) + '" y="' + (36 - h).toFixed(1) + '" width="3" height="' + h.toFixed(1) + '"/>');
    }
    if (held[c]) parts.push('<rect class="density hold" x="' + (label + c * 3) + '" y="38" width="3" height="4"/>');
  }
  for (const change of view.run.states) parts.push('<path class="state" d="M' + x(change[view.mode]).toFixed(1) + ' 0v44"/>');
  for (const m of view.run.hazards) parts.push('<path class="hazard" d="M' + (x(at(m)) - 4).toFixed(1) + ' 10l4 -8l4 8z"/>');
  for (const m of view.run.fails) parts.push('<path class="fail" d="M' + (x(at(m)) - 3).toFixed(1) + ' 3l6 6m0-6l-6 6"/>');
  const [a, b] = [x(view.from), x(view.to)];
  if (b - a < plotWidth() - 1) {
    parts.push('<rect class="shade" x="' + label + '" y="0" width="' + (a - label).toFixed(1) + '" height="44"/><rect class="shade" x="' + b.toFixed(1) + '" y="0" width="' + Math.max(0, width - b).toFixed(1) + '" height="44"/>');
    parts.push('<rect class="window" x="' + a.toFixed(1) + '" y="0.5" width="' + Math.max(3, b - a).toFixed(1) + '" height="43"/>');
  }
  byId('overview').innerHTML = parts.join('') + '</svg>';
}

const hatches = ['hold', 'wait'].map((name) =>
  '<pattern id="hatch-' + name + '" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">' +
  '<rect class="hatch-' + name + '-bg" width="7" height="7"/><path class="hatch-' + name + '-line" d="M1 0v7"/></pattern>').join('');

function drawRows() {
  const chart = byId('chart');
  const first = Math.max(0, Math.floor(chart.scrollTop / ROW) - MARGIN_ROWS);
  const last = Math.min(view.shown.length, Math.ceil((chart.scrollTop + 470) / ROW) + MARGIN_ROWS);
  const height = Math.max(0, last - first) * ROW;
  const parts = ['<svg width="' + view.width + '" height="' + height + '" aria-hidden="true"><defs>' + hatches];
  parts.push('<clipPath id="plot"><rect x="' + view.label + '" y="0" width="' + plotWidth() + '" height="' + height + '"/></clipPath>');
  parts.push('<clipPath id="names"><rect x="0" y="0" width="' + (view.label - 6) + '" height="' + height + '"/></clipPath></defs>');
  for (let i = first; i < last; i += 1) {
    const isPicked = view.shown[i] === view.picked;
    if (isPicked || i % 2 === 1) parts.push('<rect class="' + (isPicked ? 'picked' : 'odd') + '" x="0" y="' + (i - first) * ROW + '" width="' + view.width + '" height="' + ROW + '"/>');
  }
  for (const value of ticks().found) parts.push('<path class="grid" d="M' + xOf(value).toFixed(1) + ' 0v' + height + '"/>');
  parts.push('<path class="edge" d="M' + (view.label - 0.5) + ' 0v' + height + '"/><g clip-path="url(#plot)">');
  for (const change of view.run.states) {
    const x = xOf(change[view.mode]);
    if (x >= view.label && x <= view.width) parts.push('<path class="state" d="M' + x.toFixed(1) + ' 0v' + height + '"/>');
  }
  for (let i = first; i < last; i += 1) drawRequest(parts, view.shown[i], (i - first) * ROW);
  parts.push('</g><g clip-path="url(#names)">');
  for (let i = first; i < last; i += 1) {
    const r = view.shown[i];
    const y = (i - first) * ROW + 15;
    const who = partName(r);
    const room = Math.floor((view.label - 14) / 7.3) - who.length - 1;
    const name = title(r);
    const text = name.length > room ? name.slice(0, room - 1) + '\u2026' : name;
    parts.push('<text x="8" y="' + y + '"><tspan class="quiet">' + esc(who) + '</tspan> ' + esc(text) + '</text>');
  }
  byId('rows').style.top = first * ROW + 'px';
  byId('rows').innerHTML = parts.join('') + '</g></svg>';
}

/* A rectangle between two moments, at least so wide that it is seen; empty if it is outside of the range. */
function block(cls, from, to, y, height, least) {
  const a = Math.max(view.label - 5, xOf(at(from)));
  const b = Math.min(view.width + 5, xOf(at(to)));
  if (b < view.label - 4 || a > view.width + 4) return '';
  return '<rect class="' + cls + '" x="' + a.toFixed(1) + '" y="' + y + '" width="' + Math.max(least, b - a).toFixed(1) + '" height="' + height + '" rx="2"/>';
}

function drawRequest(parts, r, top) {
  const y = top + (ROW - BAR) / 2;
  if (r.spans.length === 0) parts.push(block(r.kind + ' d0', r.b, r.e, y, BAR, 2));
  /* Blocks that would cover each other to the pixel are drawn once. */
  let lastBlock = '';
  for (const span of r.spans) {
    const depth = Math.min(2, span.depth);
    const text = block(r.kind + ' d' + depth, span.b, span.e, y + depth * 2, BAR - depth * 4, 2);
    if (text !== lastBlock) parts.push(text);
    lastBlock = text;
  }
  for (const one of r.waits) parts.push(block('wait', one.b, one.e, y, BAR, 3));
  for (const one of r.holds) {
    const text = block('hold', one.b, one.e, y, BAR, 4);
    if (text === '') continue;
    parts.push(text);
    const a = Math.max(view.label, xOf(at(one.b)));
    const room = Math.min(view.width, xOf(at(one.e))) - a;
    const words = room > (one.tag.length + one.event.length + 4) * 7.4 ? one.tag + ' \u00b7 ' + one.event : one.tag;
    const width = words.length * 7.4 + 10;
    if (room < width + 2) continue;
    const middle = a + room / 2;
    parts.push('<rect class="pill" x="' + (middle - width / 2).toFixed(1) + '" y="' + (y - 1) + '" width="' + width + '" height="' + (BAR + 2) + '" rx="3"/>');
    parts.push('<text class="tag" x="' + middle.toFixed(1) + '" y="' + (top + 15) + '" text-anchor="middle">' + esc(words) + '</text>');
  }
  drawMarks(parts, r, top);
  const end = xOf(at(r.e));
  if (r.isOpen && end <= view.width + 1) parts.push('<path class="open-end" d="M' + (end - 1).toFixed(1) + ' ' + top + 'v' + ROW + '"/>');
  if (r.errno !== 0 && end >= view.label && end <= view.width) {
    const start = xOf(at(r.b));
    const [x, anchor] = end < view.width - 80 ? [end + 8, 'start'] : [start > view.label + 90 ? start - 8 : end - 8, 'end'];
    parts.push('<text class="fail" text-anchor="' + anchor + '" x="' + x.toFixed(1) + '" y="' + (top + 15) + '">' + errnoName(r.errno) + '</text>');
  }
}

function drawMarks(parts, r, top) {
  const debugNode = view.run.open ? view.run.open.debugNode : null;
  const words = view.words.filter((word) => !word.startsWith('-'));
  let lastKey = '';
  for (let i = lowerBound(r.marks, view.from); i < r.marks.length; i += 1) {
    const m = r.marks[i];
    const value = at(m);
    if (value > view.to) break;
    const x = xOf(value);
    const isFound = words.length > 0 && words.some((word) => m.text.toLowerCase().includes(word));
    const key = m.type + Math.round(x) + isFound;
    if (key === lastKey) continue;
    lastKey = key;
    const px = x.toFixed(1);
    if (m.type === 'fail') parts.push('<path class="fail" d="M' + (x - 4).toFixed(1) + ' ' + (top + 7) + 'l8 8m0-8l-8 8"/>');
    else if (m.type === 'hazard') parts.push('<path class="hazard" d="M' + (x - 6).toFixed(1) + ' ' + (top + 17) + 'l6 -12l6 12z"/>');
    else if (m.type === 'hit') parts.push('<path class="hit" d="M' + px + ' ' + (top + 7) + 'l4 4-4 4-4-4z"/>');
    else if (m.type === 'event') {
      const isFar = debugNode !== null && m.node !== debugNode;
      parts.push('<path class="tick' + (isFound ? ' found' : isFar ? ' far' : '') + '" d="M' + px + ' ' + (top + 3) + 'v' + (ROW - 6) + '"/>');
    }
  }
}

/* The first mark at or behind a value; marks are in order. */
function lowerBound(marks, value) {
  let low = 0;
  let high = marks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at(marks[middle]) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
`;
