/** The output of a session with consoles passes on what the session's own terminal can do. */
import { describe, expect, it } from 'vitest';
import { RoutedOutput } from '../../src/cli/routed-output.ts';
import type { Output } from '../../src/shell/output/output.ts';

const own: Output = {
  stdout: () => {},
  stderr: () => {},
  flush: () => {},
  drop: () => {},
  isTerminal: true,
  columns: 80,
};

describe('the output of a session with consoles', () => {
  it('has the width of its own terminal, and none while it prints to a console', () => {
    const routed = new RoutedOutput(own);
    expect(routed.columns).toBe(80);
    const sink = { stdout: () => {}, stderr: () => {}, isTerminal: false };
    expect(routed.captured(sink, () => [routed.columns, routed.isTerminal])).toEqual([undefined, false]);
  });
});
