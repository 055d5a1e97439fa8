/** The caches of qcow2 drop tables as time goes by: `l2_load` fires for a table that is not there any more. */
import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { normalise } from '../helpers/normalise.ts';
import { blkscope, type Program, qemuIo, runProgram } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';

/** A read stops at the breakpoint if it loads the table, and its report is missing where it is waited for. */
const script = [
  'write 0 64k',
  'flush',
  'break l2_load A',
  // Two rounds of cleaning at least, if there were any.
  'sleep 2500',
  'aio_read 0 4k',
  'sleep 100',
  'read 4k 4k',
];

async function answer(program: Program, options: string): Promise<string> {
  const sandbox = new Sandbox();
  try {
    const file = sandbox.path('disk.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', file, '1M']);
    const image = `driver=qcow2,file.driver=blkdebug,file.image.filename=${file}${options}`;
    const stdin = script.map((line) => `${line}\n`).join('');
    const { stdout, stderr, exit } = await runProgram(program, ['--image-opts', image], { cwd: sandbox.folder, stdin });
    return normalise(`${stdout}${stderr}${exit}`, sandbox.folder);
  } finally {
    sandbox.remove();
  }
}

it.each(['', ',cache-clean-interval=1'])('%s', async (options) => {
  const [expected, actual] = await Promise.all([answer(qemuIo, options), answer(blkscope, options)]);
  expect(actual).toBe(expected);
});
