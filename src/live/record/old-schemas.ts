/** Recordings of schema 1 and 2: what a line had to be called then, as a line of today. */
import { isObject } from './value-checks.ts';

/**
 * Schema 1 called a snapshot a picture, the kind of a rule its action, an exhausted rule spent, and gave the reason for
 * a skipped rule without the condition. Up to schema 2 the offset of a request in a snapshot, which is one of the
 * guest's disk, was only called so, and events had no parents. Other lines come back as they are: the offset in a
 * `request-begin` of then is one of the disk or of the file, as its node wills. What is missing or wrong in a line is
 * found later.
 */
export function upgradeLine(line: Record<string, unknown>): Record<string, unknown> {
  switch (line.kind) {
    case 'picture':
      return upgradeSnapshot(upgradePicture(line));
    case 'snapshot':
      return upgradeSnapshot(line);
    case 'events':
      return { ...line, latest: eachObject(line.latest, (event) => ({ parent: 0, ...event })) };
    default:
      return line;
  }
}

function upgradePicture(line: Record<string, unknown>): Record<string, unknown> {
  return {
    ...line,
    kind: 'snapshot',
    rules: eachObject(line.rules, upgradeRule),
    state: upgradeState(line.state),
    // The range of a request could be missing.
    requests: eachObject(line.requests, (request) => ({ offset: null, bytes: null, ...request })),
  };
}

function upgradeRule({ action, status, lastSkip, ...rule }: Record<string, unknown>): Record<string, unknown> {
  return {
    settings: {},
    active: false,
    injected: 0,
    ...rule,
    kind: action,
    status: status === 'spent' ? 'exhausted' : status,
    lastSkip: typeof lastSkip === 'string' ? { condition: '', text: lastSkip } : lastSkip,
  };
}

function upgradeState(state: unknown): unknown {
  if (!isObject(state) || !isObject(state.change)) return state;
  return { ...state, change: { event: null, request: 0, operation: '', ...state.change } };
}

function upgradeSnapshot(line: Record<string, unknown>): Record<string, unknown> {
  return {
    ...line,
    suspended: eachObject(line.suspended, nameOffset),
    requests: eachObject(line.requests, nameOffset),
  };
}

function nameOffset({ offset, ...request }: Record<string, unknown>): Record<string, unknown> {
  return offset === undefined ? request : { guestOffset: offset, ...request };
}

/** A list with each object in it changed; anything else as it is. */
function eachObject(list: unknown, change: (entry: Record<string, unknown>) => Record<string, unknown>): unknown {
  return Array.isArray(list) ? list.map((entry) => (isObject(entry) ? change(entry) : entry)) : list;
}
