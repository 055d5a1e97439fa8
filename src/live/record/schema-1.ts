/** Recordings of schema 1: what a line had to be called then, as a line of today. */
import { isObject } from './check.ts';

/**
 * Schema 1 called a snapshot a picture, the kind of a rule its action, an exhausted rule spent, and gave the reason for
 * a skipped rule without the condition. Other lines come back as they are; what is missing or wrong in one is found
 * later.
 */
export function upgradeLine(line: Record<string, unknown>): Record<string, unknown> {
  if (line.kind !== 'picture') return line;
  const rules = Array.isArray(line.rules) ? line.rules.map(upgradeRule) : line.rules;
  return {
    ...line,
    kind: 'snapshot',
    rules,
    state: upgradeState(line.state),
    requests: upgradeRequests(line.requests),
  };
}

function upgradeRule(rule: unknown): unknown {
  if (!isObject(rule)) return rule;
  const { action, status, lastSkip } = rule;
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

/** The range of a request could be missing. */
function upgradeRequests(requests: unknown): unknown {
  if (!Array.isArray(requests)) return requests;
  return requests.map((request) => (isObject(request) ? { offset: null, bytes: null, ...request } : request));
}
