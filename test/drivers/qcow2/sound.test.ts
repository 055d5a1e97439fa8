/** Images stay sound where the program may end at any moment. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { blkscope, runProgram } from '../../helpers/run-program.ts';
import { Qcow2Host } from './qcow2-host.ts';

let host: Qcow2Host;
beforeEach(() => {
  host = new Qcow2Host();
});
afterEach(() => host.remove());

it('a shorter disk keeps its file until no L2 table on disk points behind its end', async () => {
  host.image('disk.qcow2', { lengthBytes: 4 << 20 });
  const script = ['write -q 0 2M', 'flush', 'break l2_update A', 'truncate 48k', 'abort'];
  const { stdout } = await runProgram(
    blkscope,
    ['-t', 'writeback', '-f', 'qcow2', `blkdebug::${host.path('disk.qcow2')}`],
    { cwd: host.folder, stdin: `${script.join('\n')}\n` },
  );
  expect(stdout).toContain("Suspended request 'A'");
  const dead = await host.openQcow2('disk.qcow2');
  expect(await host.check(dead)).toMatchObject({ corruptions: 0, checkErrors: 0 });
});
