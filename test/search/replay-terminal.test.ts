/** `blkscope replay` on a terminal: the find runs, and a shell with the panel stands before its end. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { ScreenProgram } from '../cli/screen-program.ts';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { useFolder } from '../helpers/sandbox.ts';

const folder = useFolder();
const at = (name: string): string => path.join(folder, name);

it('a find can be looked at before the image is closed, and is judged then', async () => {
  writeFileSync(at('disk.qcow2'), makeImage({ lengthBytes: 1 << 20, clusterBits: 12 }));
  const point = { kind: 'event', event: 'pwritev_done', node: 0, nth: 3 };
  const find = {
    find: 'sweep',
    version: 1,
    words: [at('disk.qcow2')],
    lines: ['write -P 1 0 512'],
    recipe: [{ point, errno: 'EIO', once: true }],
    verdict: 'corrupt',
    signature: 'the check finds: ERROR cluster N refcount=N reference=N; pwritev_done; write',
  };
  writeFileSync(at('find.json'), JSON.stringify(find));
  const program = new ScreenProgram(['replay', at('find.json')], { columns: 130, rows: 40 });
  const screen = await program.prompt();
  expect(screen.join('\n')).toMatch(/EVENTS[^]*pwritev_done/);
  expect(screen.join('\n')).toContain('(the script has ended; when you leave, the image is closed and checked)');
  expect((await program.run('length')).join('\n')).toContain('1 MiB');
  program.type('quit\r');
  expect((await program.exit).exitCode).toBe(0);
  await program.terminal.settle();
  expect(program.terminal.written).toContain('corrupt: 2 corruptions: ERROR cluster 4 refcount=0 reference=1');
});
