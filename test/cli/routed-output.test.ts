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

  it('prints a prompt to its own terminal whoever is served, and tells no tap of it', () => {
    const said: string[] = [];
    const routed = new RoutedOutput({ ...own, stdout: (text, kind) => said.push(`${kind ?? 'text'} ${text}`) });
    routed.tap = (_stream, text) => said.push(`tap ${text}`);
    routed.stdout('> ', 'prompt');
    routed.stdout('done\n');
    const sink = { stdout: (text: string) => said.push(`sink ${text}`), stderr: () => {}, isTerminal: false };
    routed.captured(sink, () => {
      routed.stdout('> ', 'prompt');
      routed.stdout('answer\n');
    });
    expect(said).toEqual(['prompt > ', 'tap done\n', 'text done\n', 'prompt > ', 'sink answer\n']);
  });
});
