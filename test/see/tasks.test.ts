/** Questions of an engineer, each answered by a few words of one session. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { overDebug, seeSession } from './see-session.ts';

const folder = useFolder();

it('which L2 entry did a failed write leave behind: diff, the write, diff', async () => {
  const file = path.join(folder, 'left-behind.qcow2');
  writeFileSync(file, makeImage());
  const see = await seeSession(overDebug(file), { isTerminal: true, writethrough: true });
  await see.talk('write -q 0 64k', 'rule add inject-error event=flush_to_disk errno=EIO once=on');
  const text = await see.talk('diff', 'write -q -P 7 192k 64k', 'diff');
  expect(text).toContain('write failed: Input/output error');
  const [, at = ''] = /^l2 +guest 0x30000 +(0x[0-9a-f]+) +0x0 +0x8\w+ +- +yes$/m.exec(text) ?? [];
  const entry = readFileSync(file).readBigUInt64BE(Number(at));
  expect(entry & 0x00ff_ffff_ffff_fe00n).toBe(0x60000n);
  await see.close();
});

it('which request wrote it: a watch names it before the entry is on disk', async () => {
  const file = path.join(folder, 'who-wrote.qcow2');
  writeFileSync(file, makeImage());
  const see = await seeSession(overDebug(file), { isTerminal: true, writethrough: true });
  await see.talk('write -q 0 64k', 'watch l2 192k A');
  const text = await see.talk('aio_write 64k 64k', 'aio_write -P 7 192k 64k', 'wait_break A', 'suspended', 'diff');
  expect(text).toMatch(
    /rule 1: (w\d+) changes the L2 entry of guest 0x30000 [^]*\nA +\1 +write +192k +64k +file write/,
  );
  expect(await see.talk('remove_break A', 'aio_flush', 'read -q -P 7 192k 64k')).not.toContain('failed');
  await see.close();
});
