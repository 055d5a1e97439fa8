/** The page's script, first part: from the lines of a recording to requests with their spans, marks and states. */

export const modelScript = String.raw`
/* A moment is a time in nanoseconds (t) and a step (s): how many records there were until then. */

function readRun(text) {
  const run = newRun();
  takeLines(run, text);
  return endRun(run);
}

function newRun() {
  return {
    header: null, first: null, open: null, requests: [], byId: new Map(), states: [], rules: new Map(), notes: [], commands: [],
    eventCounts: new Map(), records: 0, ended: false, names: new Set(), t0: Infinity, t1: -Infinity, steps: 0, holds: 0, fails: [], hazards: [],
  };
}

function takeLines(run, text) {
  for (let from = 0; from < text.length;) {
    let to = text.indexOf('\n', from);
    if (to < 0) to = text.length;
    if (to > from) takeLine(run, text.slice(from, to));
    from = to + 1;
  }
}

function endRun(run) {
  if (run.t0 > run.t1) { run.t0 = run.header ? run.header.startedNs : 0; run.t1 = run.t0 + 1; }
  finishRun(run);
  return run;
}

function takeLine(run, text) {
  let line;
  try { line = JSON.parse(text); } catch { run.notes.push('a line of the recording is torn and left out'); return; }
  switch (line.kind) {
    case 'header': run.header = run.header || line; break;
    case 'snapshot': takeSnapshot(run, line); break;
    case 'note': run.notes.push(line.dropped > 0 ? line.text + ' (' + line.dropped + ' records missing)' : line.text); break;
    case 'end': run.ended = true; extend(run, line.timeNs); break;
    default: if ('sequence' in line) takeRecord(run, line);
  }
}

function extend(run, t) {
  if (t < run.t0) run.t0 = t;
  if (t > run.t1) run.t1 = t;
}

function takeSnapshot(run, snapshot) {
  extend(run, snapshot.timeNs);
  const isFirst = run.first === null;
  if (isFirst) run.first = snapshot;
  /* Before an image is opened and after it is closed there is nothing to see. */
  if (snapshot.nodes.length > 0) run.open = snapshot;
  for (const rule of snapshot.rules) {
    const known = ruleOf(run, rule.number);
    Object.assign(known, rule);
  }
  if (!isFirst) return;
  const now = { t: snapshot.timeNs, s: run.steps };
  for (const { request, operation, guestOffset, bytes, parent } of snapshot.requests) {
    const r = requestOf(run, request, now);
    r.early = true;
    r.parent = parent || 0;
    name(r, operation, guestOffset, bytes);
  }
  for (const { request, tag, event } of snapshot.suspended) {
    hold(run, requestOf(run, request, now), tag, event, now);
  }
}

function ruleOf(run, number) {
  let rule = run.rules.get(number);
  if (!rule) {
    rule = { number, kind: '', event: '', effect: '', conditions: '', status: 'gone', hits: 0, lastSkip: null };
    run.rules.set(number, rule);
  }
  return rule;
}

/* Rules of an old recording that were gone before a snapshot was taken are known by what they did. */
function guess(run, r, number, kind, effect) {
  const rule = number === null ? run.rules.get(r.lastHit) : run.rules.get(number);
  if (!rule || rule.kind !== '') return;
  rule.kind = kind;
  rule.effect = effect;
}

function requestOf(run, id, now) {
  let r = run.byId.get(id);
  if (!r) {
    r = {
      id, operation: '', offset: null, bytes: null, kind: 'flush', b: now, e: null, errno: 0, early: false,
      command: null, parent: 0, spans: [], stack: [], lastHit: 0, holds: [], waits: [], wait: null, marks: [], hay: null,
    };
    run.byId.set(id, r);
    run.requests.push(r);
  }
  return r;
}

function name(r, operation, offset, bytes) {
  r.operation = operation;
  r.offset = offset;
  r.bytes = bytes;
  r.kind = kindOf(operation);
}

function kindOf(operation) {
  if (/zero|-z/.test(operation)) return 'zero';
  if (/write/.test(operation)) return 'write';
  if (/read/.test(operation)) return 'read';
  return /discard/.test(operation) ? 'discard' : 'flush';
}

function hold(run, r, tag, event, now) {
  run.holds += 1;
  r.holds.push({ tag, event, b: now, e: null });
}

function mark(r, now, type, text, node, more) {
  r.marks.push({ t: now.t, s: now.s, type, text, node, more: more || '' });
}

function takeRecord(run, record) {
  run.records += 1;
  run.steps += 1;
  extend(run, record.timeNs);
  const now = { t: record.timeNs, s: run.steps };
  if (takeCommand(run, record, now)) return;
  /* A command that changes rules or the image is no request, and gets no row. */
  const isCommand = changesSession(record) && !run.byId.has(record.request);
  const r = isCommand ? { marks: [], wait: null, lastHit: 0 } : requestOf(run, record.request, now);
  if (r.wait !== null && record.kind !== 'lock-wait') { r.wait.e = now; r.wait = null; }
  switch (record.kind) {
    case 'request-begin': {
      const [offset, of] = offsetOf(record);
      const span = { node: record.node, operation: record.operation, offset, of, bytes: record.bytes, depth: r.stack.length, b: now, e: null, errno: 0 };
      if (r.operation === '') {
        name(r, record.operation, offset, record.bytes);
        if (!r.early && !record.client) r.command = run.commands.at(-1) || null;
        if (r.command && r.command.first === null) r.command.first = r;
      }
      r.parent = r.parent || record.parent || 0;
      r.stack.push(span);
      r.spans.push(span);
      r.e = null;
      break;
    }
    case 'request-end': {
      const at = r.stack.findLastIndex((span) => span.node === record.node && span.operation === record.operation);
      if (at >= 0) {
        r.stack[at].errno = record.errno;
        for (const span of r.stack.splice(at)) span.e = now;
      }
      if (r.stack.length === 0) { r.e = now; r.errno = record.errno || r.errno; }
      break;
    }
    case 'event':
      run.eventCounts.set(record.event, (run.eventCounts.get(record.event) || 0) + 1);
      mark(r, now, 'event', record.event, record.node);
      break;
    case 'rule-hit': {
      const rule = ruleOf(run, record.rule);
      rule.event = rule.event || record.event;
      rule.hits += 1;
      rule.lastSkip = null;
      r.lastHit = record.rule;
      mark(r, now, 'hit', 'rule ' + record.rule + ' hit', record.node, record.event);
      break;
    }
    case 'rule-skip': {
      const rule = ruleOf(run, record.rule);
      rule.event = rule.event || record.event;
      rule.lastSkip = { condition: '', text: record.reason };
      mark(r, now, 'skip', 'rule ' + record.rule + ' skipped', record.node, record.reason);
      break;
    }
    case 'rule-added':
    case 'rule-changed':
      Object.assign(ruleOf(run, record.rule), record.view);
      mark(r, now, 'rule', 'rule ' + record.rule + (record.kind === 'rule-added' ? ' added' : ' changed'), record.node, record.view.effect);
      break;
    case 'rule-enabled':
    case 'rule-disabled':
    case 'rule-exhausted':
    case 'rule-removed':
      ruleOf(run, record.rule).status = statusAfter[record.kind];
      mark(r, now, 'rule', 'rule ' + record.rule + ' ' + record.kind.slice(5), record.node);
      break;
    case 'image-opened':
    case 'image-reopened':
    case 'image-closing':
    case 'image-closed':
      mark(r, now, 'image', record.kind.replace('-', ' '), record.node);
      break;
    case 'error-injected':
      ruleOf(run, record.rule);
      guess(run, r, record.rule, 'inject-error', errnoName(record.errno));
      mark(r, now, 'fail', errnoName(record.errno) + ' injected', record.node, 'rule ' + record.rule + placeText(record));
      run.fails.push(now);
      break;
    case 'hazard':
      mark(r, now, 'hazard', 'hazard', record.node, record.text);
      run.hazards.push({ t: now.t, s: now.s, text: record.text });
      break;
    case 'fault-injected':
      guess(run, r, record.rule, record.fault, '');
      mark(r, now, 'fail', record.fault + ' injected', record.node, 'rule ' + record.rule);
      break;
    case 'state-change':
      guess(run, r, record.rule, 'set-state', record.from + '\u2192' + record.to);
      run.states.push({ from: record.from, to: record.to, rule: record.rule, t: now.t, s: now.s });
      mark(r, now, 'state', 'state ' + record.from + ' to ' + record.to, record.node, record.rule > 0 ? 'rule ' + record.rule : '');
      break;
    case 'suspend':
      guess(run, r, null, 'suspend', record.tag);
      hold(run, r, record.tag, record.event, now);
      mark(r, now, 'hold', 'suspended ' + record.tag, record.node, record.event);
      break;
    case 'resume': {
      const held = r.holds.findLast((one) => one.tag === record.tag && one.e === null);
      if (held) held.e = now;
      mark(r, now, 'hold', 'resumed ' + record.tag, record.node);
      break;
    }
    case 'lock-wait':
      if (r.wait !== null) r.wait.e = now;
      r.wait = { on: record.on, b: now, e: null };
      r.waits.push(r.wait);
      mark(r, now, 'wait', 'waits for ' + record.on, record.node);
      break;
  }
}

/* Commands and what they print are no requests. False for other records. */
function takeCommand(run, record, now) {
  switch (record.kind) {
    case 'command':
      run.commands.push({
        number: run.commands.length + 1, line: record.line, depth: record.depth, client: record.client || '', t: now.t, errno: 0, output: '', first: null,
      });
      return true;
    case 'command-failed': {
      const failed = run.commands.findLast((one) => one.depth === record.depth);
      if (failed) failed.errno = record.errno;
      return true;
    }
    case 'output': {
      /* A request that ends later prints for the command that started it. */
      const r = run.byId.get(record.request);
      const command = (r && r.command) || run.commands.at(-1);
      if (command && command.output.length < MOST_OUTPUT) command.output += record.text.slice(0, MOST_OUTPUT);
      return true;
    }
    default:
      return false;
  }
}

const MOST_OUTPUT = 2000;

function changesSession(record) {
  return record.kind.startsWith('image-') || record.kind in statusAfter || (record.kind === 'state-change' && record.rule === 0);
}

const statusAfter = {
  'rule-added': 'armed', 'rule-changed': 'armed',
  'rule-enabled': 'armed', 'rule-disabled': 'disabled', 'rule-exhausted': 'exhausted', 'rule-removed': 'removed',
};

/* What never ended lasts to the end of the recording. */
function finishRun(run) {
  const end = { t: run.t1, s: run.steps + 1, isOpen: true };
  for (const r of run.requests) {
    const last = r.marks.at(-1);
    const isOpen = r.stack.length > 0 || r.holds.some((one) => one.e === null) || (r.early && r.e === null);
    for (const one of [...r.spans, ...r.holds, ...r.waits]) one.e = one.e || end;
    r.isOpen = isOpen;
    r.e = isOpen ? end : r.e || (last ? { t: last.t, s: last.s } : r.b);
    if (last && last.s > r.e.s) r.e = { t: last.t, s: last.s };
    if (r.id === 0 && r.operation === '') r.operation = 'outside of requests';
    else if (r.operation === '') r.operation = 'request';
    run.names.add(nameOf(r));
  }
}
`;
