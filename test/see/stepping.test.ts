/** Stepping: a suspended request from event to event, stops for one request, commands at each stop. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { useFolder } from '../helpers/sandbox.ts';
import { expectGolden, overDebug, type SeeSession, seeSession } from './see-session.ts';

const folder = useFolder();

function session(name: string, isTerminal = true): Promise<SeeSession> {
  const file = path.join(folder, `${name}.qcow2`);
  writeFileSync(file, makeImage());
  return seeSession(overDebug(file), { isTerminal });
}

it('step goes from event to event, and tells of the end', async () => {
  const see = await session('step');
  const lines = [
    'break * A',
    'aio_write 0 4k',
    'step',
    'step',
    'step A',
    'until pwritev_done',
    'step',
    'step',
    'step',
    'step',
  ];
  expectGolden('step', await see.talk(...lines, 'requests', 'step', 'step B', 'until nothing'));
  await see.close();
});

it('until goes on to an event, or to the end', async () => {
  const see = await session('until');
  const lines = [
    'break write_aio A',
    'aio_write 0 4k',
    'wait_break A',
    'until nothing',
    'until pwritev',
    'until l2_load',
  ];
  expectGolden('until', await see.talk(...lines, 'suspended', 'read -P 205 0 4k'));
  await see.close();
});

it('a stop is for one request, and a breakpoint for one request or operation', async () => {
  const see = await session('request');
  await see.talk('write 0 64k', 'break pwritev A op=read', 'break pwritev B request=w9', 'break pwritev C op=write');
  const text = await see.talk(
    'rules',
    'aio_write 0 4k',
    'aio_read 0 4k',
    'aio_flush',
    'suspended',
    'resume',
    'resume C',
    'resume',
  );
  expectGolden('request', text.replaceAll(/\b\d+\.\ds\b/g, 'TIME'));
  expectGolden(
    'request-refused',
    await see.talk(
      'break * D request=x',
      'break * D nth=2',
      'break pwritev D request=x',
      'break pwritev D op=aio_write',
    ),
  );
  await see.close();
});

it('a display given twice runs once at a stop, and one that displays itself comes to an end', async () => {
  const see = await session('twice');
  await see.talk('display state', 'display state', 'display display nodes', 'break * A');
  expect((await see.talk('aio_write 0 4k')).match(/state 1/g)).toHaveLength(1);
  await see.talk('step', 'step');
  expect(await see.talk('display')).toBe('> display\nstate\ndisplay nodes\nnodes\n');
  await see.close();
});

it('without blkdebug it is said how to open the image', async () => {
  const file = path.join(folder, 'plain.raw');
  writeFileSync(file, Buffer.alloc(4096));
  const see = await seeSession({ driver: 'raw', 'file.driver': 'file', 'file.filename': file });
  const refusal = 'qemu-io: this image has no rules: open it through blkdebug ("blkdebug::FILE")\n';
  for (const line of ['step', 'until pwritev', 'watch range 0 A']) {
    expect(await see.talk(line)).toBe(`> ${line}\n${refusal}`);
  }
  await see.close();
});

it('a stop waits as long as its request waits for another one', async () => {
  const see = await session('waits');
  const lines = [
    'break l2_update L',
    'write 0 4k',
    'flush',
    'break * W',
    'aio_write 128k 4k',
    'step W',
    'resume L',
    'step W',
  ];
  expectGolden('step-waits', await see.talk(...lines));
  await see.close();
});

it('display and on run their commands at each stop', async () => {
  const see = await session('display');
  await see.talk('diff');
  const lines = [
    'display diff',
    'display where 0',
    'on A { suspended; requests }',
    'display',
    'break l1_update A',
    'aio_write 0 4k',
  ];
  const text = await see.talk(
    ...lines,
    'wait_break A',
    'step',
    'display off',
    'on A { }',
    'step',
    'display',
    'display nothing',
  );
  expectGolden('display', text.replaceAll(/\b\d+\.\ds\b/g, 'TIME').replaceAll(folder, 'FOLDER'));
  expect(await see.talk('on A where')).toContain('stand between { and }');
  await see.close();
});

it('on lets a request go on by itself', async () => {
  const see = await session('on');
  await see.talk('on A { where 0; resume A }', 'break write_aio A');
  expect(await see.talk('aio_write 0 4k', 'aio_flush')).toContain("Resuming request 'A'");
  expect(await see.talk('suspended')).toContain('no request is suspended');
  await see.close();
});

it('a tag may be left out on a terminal, and nothing in a pipe', async () => {
  const see = await session('tags');
  expect(await see.talk('break pwritev', 'break write_aio', 'aio_write 0 4k', 'wait_break B', 'resume')).toContain(
    '> break pwritev\n(the tag is A)\n> break write_aio\n(the tag is B)\n',
  );
  await see.close();
  const pipe = await session('pipe', false);
  expect(await pipe.talk('break pwritev', 'resume')).toBe(
    '> break pwritev\nbad argument count 1 to break, expected 2 arguments\n' +
      '> resume\nbad argument count 0 to resume, expected 1 arguments\n',
  );
  await pipe.close();
});

it('a stop that was not met does not hold what the close writes', async () => {
  const see = await session('closing');
  await see.talk('write 0 64k', 'break * A request=w999', 'break * B');
  await see.close();
  expect(see.session.exitStatus).toBe(0);
});
