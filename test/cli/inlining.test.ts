/** V8 is asked to inline less in a piped session, by a flag that it knows, and says nothing of it. */
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { inliningFlag } from '../../src/cli/inlining.ts';
import { nodePrograms } from '../helpers/node-programs.ts';
import { blkscope, plainEnvironment } from '../helpers/run-program.ts';

it.each(['18.20.0', '21.7.3', '28.0.0', ''])('no flag is set in Node %j, with which none was measured', (version) => {
  expect(inliningFlag(version)).toBeNull();
});

it.each(nodePrograms)('Node %s knows the flag, and a piped session ends in silence', (version, program) => {
  const flag = inliningFlag(version.slice(1));
  expect(flag).not.toBeNull();
  const script = `require('node:v8').setFlagsFromString(${JSON.stringify(flag)})`;
  const set = spawnSync(program, ['-e', script], { encoding: 'utf8' });
  expect([set.stderr, set.status]).toEqual(['', 0]);
  const session = spawnSync(program, [blkscope.args[0] ?? blkscope.command], {
    env: plainEnvironment(),
    input: 'quit\n',
    encoding: 'utf8',
  });
  expect(session).toMatchObject({ stdout: 'qemu-io> ', stderr: '', status: 0 });
});

it('V8 complains of a flag that it does not know', () => {
  const script = `require('node:v8').setFlagsFromString('--max-inlined-nothing=300')`;
  expect(spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' }).stderr).toContain('unrecognized flag');
});
