/** The rules of Chrome's trace events, as a check: what is wrong with a file. */

interface TraceEvent {
  readonly ph: string;
  readonly name: string;
  readonly ts: number;
  readonly pid: number;
  readonly tid: number;
  readonly cat?: string;
  readonly id?: string;
  readonly args?: Record<string, unknown>;
}

/** The events of a file. Throws if it is not valid JSON or breaks a rule. */
export function checkedTrace(text: string): readonly TraceEvent[] {
  const { traceEvents } = JSON.parse(text) as { traceEvents: TraceEvent[] };
  const open = new Map<string, TraceEvent[]>();
  let lastTs = 0;
  for (const event of traceEvents) {
    const { ph, name, ts, cat, id } = event;
    const where = JSON.stringify(event);
    if (typeof name !== 'string' || name === '' || !Number.isFinite(ts)) throw new Error(`incomplete: ${where}`);
    if (ts < lastTs) throw new Error(`goes back in time: ${where}`);
    lastTs = ts;
    if (!['b', 'e', 'n', 'C', 'M', 'i'].includes(ph)) throw new Error(`unknown phase: ${where}`);
    if (!['b', 'e', 'n'].includes(ph)) continue;
    if (cat === undefined || id === undefined) throw new Error(`no track: ${where}`);
    const track = open.get(`${cat} ${id}`) ?? [];
    open.set(`${cat} ${id}`, track);
    if (ph === 'b') track.push(event);
    if (ph === 'e' && track.pop()?.name !== name) throw new Error(`ends what is not innermost: ${where}`);
  }
  for (const [track, events] of open) {
    if (events.length > 0) throw new Error(`${track} has begins without an end`);
  }
  return traceEvents;
}
