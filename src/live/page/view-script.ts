/** The page's script, third part: facts, tables, details, mouse and keyboard. */

export const viewScript = String.raw`
function showRun(run) {
  view.run = run;
  showFacts(run);
  showCommands(run);
  showRules(run);
  showEvents(run);
  if (prefersOrder(run)) view.mode = 's';
  pressMode();
  [view.from, view.to] = bounds();
  listen();
  refresh();
}

/* Whether nearly all requests would be too short to be seen at a scale of time. */
function prefersOrder(run) {
  const total = run.t1 - run.t0;
  const short = run.requests.filter((r) => r.e.t - r.b.t < total / 400).length;
  return short > run.requests.length / 2;
}

function fact(label, value, cls) {
  return '<li class="' + (cls || '') + '"><b>' + esc(value) + '</b> ' + label + '</li>';
}

function count(n, one, many, cls) {
  return fact(n === 1 ? one : many, n.toLocaleString('en'), cls);
}

const MOST_HAZARDS = 10;

function showFacts(run) {
  const { header, open } = run;
  const nodes = open ? open.nodes : [];
  const file = (nodes.findLast((node) => node.file) || { file: '' }).file;
  byId('chain').textContent = [file, ...nodes.map((node) => node.driver)].filter((part) => part !== '').join(' \u2500 ');
  if (file) document.title = file + ' - blkscope recording';
  const when = header ? new Date(header.startedAt) : null;
  const parts = [];
  if (when && !Number.isNaN(when.getTime())) parts.push(fact('', when.toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })));
  parts.push(fact('', duration(run.t1 - run.t0)));
  parts.push(count(run.requests.length, 'request', 'requests'), count(run.records, 'record', 'records'));
  parts.push(count(run.holds, 'suspension', 'suspensions'));
  parts.push(count(run.fails.length, 'injected error', 'injected errors', run.fails.length > 0 ? 'bad' : ''));
  if (run.hazards.length > 0) parts.push(count(run.hazards.length, 'hazard', 'hazards', 'bad'));
  const state = run.states.length > 0 ? run.states.at(-1).to : open && open.state ? open.state.value : null;
  if (state !== null) parts.push('<li>state <b>' + state + '</b></li>');
  byId('facts').innerHTML = parts.join('');
  const notes = [...run.notes];
  for (const { s, text } of run.hazards.slice(0, MOST_HAZARDS)) notes.push('hazard at record ' + s + ': ' + text);
  if (run.hazards.length > MOST_HAZARDS) notes.push('and ' + (run.hazards.length - MOST_HAZARDS) + ' more hazards');
  if (!run.ended && !notes.some((note) => note.includes('did not end'))) notes.push('The recording did not end in order; its last moments may be missing.');
  if (run.records === 0) notes.push('No request was recorded.');
  byId('notes').hidden = notes.length === 0;
  byId('notes').textContent = notes.join(' \u00b7 ');
}

function table(head, rows, label) {
  const cells = head.map(([name, cls]) => '<th scope="col" class="' + (cls || '') + '">' + name + '</th>').join('');
  return '<table aria-label="' + label + '"><thead><tr>' + cells + '</tr></thead><tbody>' + rows.join('') + '</tbody></table>';
}

function showRules(run) {
  const rules = [...run.rules.values()].sort((a, b) => a.number - b.number);
  if (rules.length === 0) {
    byId('rules').innerHTML = '<p class="quiet">The recording has no rules.</p>';
    return;
  }
  const rows = rules.map((rule) => {
    const what = (rule.kind.replace('inject-error', 'inject').replace('suspend', 'break') + ' ' + rule.effect).trim() || 'a rule that is gone';
    const conditions = [rule.conditions, rule.lastSkip ? 'skipped because: ' + rule.lastSkip.text : ''].filter((part) => part !== '');
    return '<tr class="' + (rule.status === 'armed' ? '' : 'spent') + '"><td class="n">' + rule.number + '</td><td>' + esc(what) +
      '</td><td>' + esc(rule.event) + '</td><td>' + conditions.map(esc).join('<br>') + '</td><td>' + esc(rule.status) + '</td><td class="n">' + rule.hits + '</td></tr>';
  });
  byId('rules').innerHTML = table([['no.', 'n'], ['rule'], ['event'], ['conditions'], ['status'], ['hits', 'n']], rows, 'Rules and their hits');
}

function showEvents(run) {
  const counts = [...run.eventCounts].sort((a, b) => b[1] - a[1]);
  if (counts.length === 0) {
    byId('events').innerHTML = '<p class="quiet">No event fired.</p>';
    return;
  }
  const most = counts[0][1];
  const rows = counts.map(([event, n]) => '<tr><td class="name">' + esc(event) + '</td><td class="n">' + n.toLocaleString('en') +
    '</td><td class="share"><i style="width:' + (100 * n / most).toFixed(1) + '%"></i></td></tr>');
  byId('events').innerHTML = table([['event'], ['fired', 'n'], ['']], rows, 'How often each event fired');
}

const MOST_STEPS = 500;

function pick(r, scroll) {
  view.picked = r;
  if (r !== null && scroll) {
    const chart = byId('chart');
    const top = view.shown.indexOf(r) * ROW;
    if (top < chart.scrollTop) chart.scrollTop = top;
    else if (top + ROW > chart.scrollTop + chart.clientHeight) chart.scrollTop = top + ROW - chart.clientHeight;
  }
  refresh();
  if (r === null) {
    byId('detail').innerHTML = '<p class="quiet">Select a request in the timeline to see its steps.</p>';
    return;
  }
  const { run } = view;
  const result = r.isOpen ? 'unfinished' : r.errno !== 0 ? 'failed with ' + errnoName(r.errno) : 'done';
  const held = r.holds.reduce((sum, one) => sum + one.e.t - one.b.t, 0);
  const facts = ['<b>' + esc((partName(r) + ' ' + title(r)).trim()) + '</b>', result, 'began at ' + duration(r.b.t - run.t0), 'took ' + duration(r.e.t - r.b.t)];
  if (held > 0) facts.push('suspended for ' + duration(held));
  const command = r.command === null ? '' : '<p>started by command ' + r.command.number + ': <code>' + esc(r.command.line) + '</code></p>' +
    (r.command.output === '' ? '' : '<pre class="output">' + esc(r.command.output) + '</pre>');
  const steps = [];
  for (const span of r.spans) {
    const what = span.operation === 'flush' ? 'flush' : span.operation + ' ' + (span.bytes ? compact(span.bytes) : '') + '@' + span.of + compact(span.offset);
    steps.push({ t: span.b.t, s: span.b.s, type: 'span', text: 'begin ' + what, node: span.node, more: '' });
    if (!span.e.isOpen) steps.push({ t: span.e.t, s: span.e.s, type: span.errno ? 'fail' : 'span', text: 'end ' + span.operation, node: span.node, more: span.errno ? errnoName(span.errno) : '' });
  }
  steps.push(...r.marks);
  steps.sort((a, b) => a.s - b.s);
  const rows = steps.slice(0, MOST_STEPS).map((step) => '<tr class="t-' + step.type + '"><td class="n">' + step.s + '</td><td class="n">' +
    duration(step.t - r.b.t) + '</td><td>' + esc(step.text) + '</td><td>' + esc(nodeLabel(run, step.node)) + '</td><td>' + esc(step.more) + '</td></tr>');
  const rest = steps.length > MOST_STEPS ? '<p class="quiet">and ' + (steps.length - MOST_STEPS) + ' more steps</p>' : '';
  byId('detail').innerHTML = '<p>' + facts.join(' \u00b7 ') + '</p>' + command + '<div class="steps" tabindex="0" role="region" aria-label="Steps of the request">' +
    table([['record', 'n'], ['after', 'n'], ['step'], ['node'], ['']], rows, 'Steps of the request') + rest + '</div>';
}

function pressMode() {
  byId('by-time').setAttribute('aria-pressed', String(view.mode === 't'));
  byId('by-order').setAttribute('aria-pressed', String(view.mode === 's'));
}

function setMode(mode) {
  if (view.mode === mode) return;
  view.mode = mode;
  pressMode();
  fit();
}

function zoomTo(r) {
  if (r === null) return;
  const margin = Math.max((at(r.e) - at(r.b)) * 0.08, view.mode === 's' ? 1 : 100);
  setRange(at(r.b) - margin, at(r.e) + margin);
}

function move(share) {
  const size = view.to - view.from;
  setRange(view.from + size * share, view.to + size * share);
}

function step(by) {
  const index = view.shown.indexOf(view.picked);
  const next = index < 0 ? (by > 0 ? 0 : view.shown.length - 1) : Math.max(0, Math.min(view.shown.length - 1, index + by));
  if (view.shown[next]) pick(view.shown[next], true);
}

const middle = () => (view.from + view.to) / 2;
const keyActions = {
  '+': () => zoomAt(middle(), 0.6), '=': () => zoomAt(middle(), 0.6), '-': () => zoomAt(middle(), 1 / 0.6),
  '0': fit, Escape: fit, ArrowLeft: () => move(-0.15), ArrowRight: () => move(0.15), ArrowUp: () => step(-1), ArrowDown: () => step(1),
  PageUp: () => step(-18), PageDown: () => step(18), Home: () => step(-1e9), End: () => step(1e9),
  Enter: () => zoomTo(view.picked), '?': () => byId('keys').click(), t: () => setMode(view.mode === 't' ? 's' : 't'),
};

function listen() {
  const chart = byId('chart');
  const filter = byId('filter');
  new ResizeObserver(refresh).observe(byId('overview'));
  chart.addEventListener('scroll', () => drawRows());
  filter.addEventListener('input', () => {
    view.words = filter.value.toLowerCase().split(/\s+/).filter((word) => word !== '' && word !== '-');
    refresh();
  });
  filter.addEventListener('keydown', (event) => { if (event.key === 'Enter' || event.key === 'ArrowDown') { chart.focus(); event.preventDefault(); } });
  byId('by-time').onclick = () => setMode('t');
  byId('by-order').onclick = () => setMode('s');
  byId('zoom-in').onclick = keyActions['+'];
  byId('zoom-out').onclick = keyActions['-'];
  byId('zoom-fit').onclick = fit;
  byId('commands').onclick = pickOfCommand;
  byId('keys').onclick = () => {
    const list = byId('key-list');
    list.hidden = !list.hidden;
    byId('keys').setAttribute('aria-expanded', String(!list.hidden));
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, .steps')) return;
    if (event.key === '/') { filter.focus(); filter.select(); event.preventDefault(); return; }
    const needsChart = event.key.length > 1;
    if (needsChart && document.activeElement !== chart && document.activeElement !== document.body) return;
    const action = keyActions[event.key];
    if (action) { action(); event.preventDefault(); }
  });
  listenToDrags(byId('rows'), dragRows);
  listenToDrags(byId('overview'), dragOverview);
  listenToDrags(byId('axis'), (start) => { panBase = null; return { move: (x) => panFrom(start, x) }; });
  const wheel = (event) => {
    const x = event.clientX - byId('overview').getBoundingClientRect().left;
    const isPlain = event.currentTarget !== chart;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) move((event.deltaX || event.deltaY) / 1500);
    else if (isPlain || event.ctrlKey || event.metaKey) zoomAt(event.currentTarget.id === 'overview' ? middle() : valueAt(Math.max(view.label, x)), 1.0022 ** event.deltaY);
    else return;
    event.preventDefault();
  };
  for (const id of ['chart', 'axis', 'overview']) byId(id).addEventListener('wheel', wheel, { passive: false });
  chart.addEventListener('mousemove', showTip);
  chart.addEventListener('mouseleave', () => { byId('tip').hidden = true; });
  chart.addEventListener('dblclick', (event) => zoomTo(rowAt(event)));
}

/* A drag: begin(x, event) gives what to do while it moves and when it ends; all x from the left edge. */
function listenToDrags(element, begin) {
  element.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    const left = byId('overview').getBoundingClientRect().left;
    const start = event.clientX - left;
    const drag = begin(start, event);
    let moved = false;
    const onMove = (next) => {
      if (!moved && Math.abs(next.clientX - left - start) < 3) return;
      if (!moved) element.setPointerCapture(event.pointerId);
      moved = true;
      drag.move(next.clientX - left);
    };
    const onUp = (next) => {
      element.removeEventListener('pointermove', onMove);
      element.removeEventListener('pointerup', onUp);
      element.removeEventListener('pointercancel', onUp);
      element.classList.remove('grabbed');
      if (moved) { if (drag.drop) drag.drop(next.clientX - left); } else if (drag.click) drag.click(next);
    };
    element.addEventListener('pointermove', onMove);
    element.addEventListener('pointerup', onUp);
    element.addEventListener('pointercancel', onUp);
  });
}

let panBase = null;
function panFrom(start, x) {
  if (panBase === null) panBase = { from: view.from, to: view.to };
  const by = (start - x) / plotWidth() * (panBase.to - panBase.from);
  setRange(panBase.from + by, panBase.to + by);
}

function dragRows(start, event) {
  panBase = null;
  const click = (up) => { byId('chart').focus(); pick(rowAt(up), false); };
  if (event.shiftKey) {
    const from = valueAt(Math.max(view.label, start));
    return { move: (x) => showRange(xOf(from), x), drop: (x) => { const to = valueAt(Math.max(view.label, x)); setRange(Math.min(from, to), Math.max(from, to)); }, click };
  }
  byId('rows').classList.add('grabbed');
  return { move: (x) => panFrom(start, x), click };
}

function showRange(a, b) {
  const svg = byId('rows').firstElementChild;
  const old = svg.querySelector('.range');
  if (old) old.remove();
  svg.insertAdjacentHTML('beforeend', '<rect class="range" x="' + Math.min(a, b) + '" y="0" width="' + Math.abs(b - a) + '" height="' + svg.getAttribute('height') + '"/>');
}

function dragOverview(start) {
  const [low, high] = bounds();
  const value = (x) => low + Math.max(0, Math.min(1, (x - view.label) / plotWidth())) * (high - low);
  const size = view.to - view.from;
  return {
    move: (x) => setRange(Math.min(value(start), value(x)), Math.max(value(start), value(x))),
    click: () => setRange(value(start) - size / 2, value(start) + size / 2),
  };
}

function rowAt(event) {
  const chart = byId('chart');
  const y = event.clientY - chart.getBoundingClientRect().top - chart.clientTop + chart.scrollTop;
  return view.shown[Math.floor(y / ROW)] || null;
}

function showTip(event) {
  const tip = byId('tip');
  const r = rowAt(event);
  const x = event.clientX - byId('overview').getBoundingClientRect().left;
  if (r === null || event.buttons !== 0) { tip.hidden = true; return; }
  tip.textContent = tipText(r, x);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(innerWidth - box.width - 8, event.clientX + 14)) + 'px';
  tip.style.top = (event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18) + 'px';
}

function tipText(r, x) {
  const { run } = view;
  const lines = [(partName(r) + ' ' + title(r)).trim() + (r.isOpen ? ' (unfinished)' : r.errno ? ' (' + errnoName(r.errno) + ')' : '')];
  if (x < view.label) return lines.concat(duration(r.e.t - r.b.t)).join('\n');
  const value = valueAt(x);
  const near = r.marks.filter((m) => Math.abs(xOf(at(m)) - x) <= 4);
  for (const m of near.slice(0, 6)) lines.push(m.text + ' on ' + nodeLabel(run, m.node) + (m.more ? ' (' + m.more + ')' : '') + ', +' + duration(m.t - r.b.t));
  if (near.length > 6) lines.push('and ' + (near.length - 6) + ' more here');
  for (const one of r.holds) if (at(one.b) <= value && value <= at(one.e)) lines.push('suspended by ' + one.tag + ' at ' + one.event + ' for ' + duration(one.e.t - one.b.t));
  for (const one of r.waits) if (at(one.b) <= value && value <= at(one.e)) lines.push('waits for ' + one.on + ' for ' + duration(one.e.t - one.b.t));
  return lines.join('\n');
}
`;
