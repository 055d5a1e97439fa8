/** Time as the block layer sees it; injected, so that tests can replay. */

/** A monotonic clock and its timers. */
export interface Clock {
  /** Nanoseconds of a monotonic clock, as a number: exact below 104 days of uptime, enough for durations. */
  nowNs(): number;
  /** The last value of `nowNs`, without a look at the host's clock; 0 before that. */
  readonly recentNs: number;
  /** Nanoseconds of the host's clock, by which work without an end gives Node its turns; `nowNs` where that is it. */
  hostNs(): number;
  /** Calls `callback` once, `delayNs` from now; the function returned takes the call back. */
  after(delayNs: number, callback: () => void): () => void;
}

// Hoisted: it is read twice per request.
const { hrtime } = process;

/** The host's monotonic clock. Timers have the host's millisecond grain. */
export const systemClock: Clock & { recentNs: number } = {
  recentNs: 0,
  nowNs() {
    const time = hrtime();
    systemClock.recentNs = time[0] * 1e9 + time[1];
    return systemClock.recentNs;
  },
  hostNs: () => systemClock.nowNs(),
  after(delayNs, callback) {
    const timer = setTimeout(callback, Math.min(delayNs / 1e6, 0x7fffffff));
    return () => clearTimeout(timer);
  },
};

/** Ends when Node has looked at its signals, sockets and timers once. */
export function hostTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
