/** `blkscope replay` for recordings: the same again on the same image, and where it differs. */
import { appendFileSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { blkscope, type Outcome, runProgram } from '../helpers/run-program.ts';
import { useEmptyFolder } from '../helpers/sandbox.ts';
import { hashOf } from '../see/see-session.ts';

const folder = useEmptyFolder();
const at = (name: string): string => path.join(folder, name);

const script = [
  'write -P 1 0 64k',
  'break l2_update A',
  'aio_write -P 2 64k 64k',
  'aio_write -P 3 128k 64k',
  'suspended',
  'requests',
  'sleep 20',
  'resume A',
  'aio_flush',
  'rule add inject-error event=write_aio errno=0 delay-ns=30000000',
  'aio_write 192k 64k',
  'rule add inject-error event=write_aio errno=ENOSPC once=on',
  'write 256k 4k',
  'read -v 0 64',
  'nosuch',
  'rule save rules',
  'check',
  'break pwritev B',
  'aio_write 1M 4k',
];

async function record(args: readonly string[] = [], lines = script): Promise<void> {
  writeFileSync(at('disk.qcow2'), makeImage());
  copyFileSync(at('disk.qcow2'), at('before.qcow2'));
  const words = ['-D', '--record', 'run.ndjson', ...args, 'disk.qcow2'];
  await runProgram(blkscope, words, { cwd: folder, stdin: args.includes('-c') ? '' : `${lines.join('\n')}\n` });
}

const replay = (...args: readonly string[]): Promise<Outcome> =>
  runProgram(blkscope, ['replay', 'run.ndjson', ...args], { cwd: folder });

it('runs a session again on a copy, and finds the same records and the same output', async () => {
  await record();
  const before = hashOf(at('before.qcow2'));
  const { stdout, stderr, exit } = await replay('before.qcow2');
  expect(stdout).toMatch(/^run.ndjson: 19 commands and \d{3} records, the same again\n$/);
  expect(stderr).toBe("note: 'rule save rules' was left out: it acts on more than the image\n");
  expect(exit).toBe('0');
  expect(hashOf(at('before.qcow2'))).toBe(before);
});

it('runs the commands of -c and of files as they were run', async () => {
  writeFileSync(at('lines'), '# from a file\naio_write 64k*2+64k 64k\nwrite "0" 64k\nsource more\n');
  writeFileSync(at('more'), 'repeat 3 aio_write 1M 4k\naio_flush\n');
  await record(['-c', 'aio_write 0 4k', '-c', 'source more', '-c', 'quit']);
  expect((await replay('before.qcow2')).stdout).toContain('the same again');
  await record(['-x', 'lines']);
  expect((await replay('before.qcow2')).stdout).toContain('the same again');
});

it('takes another image in the place of the one that a blkdebug name holds', async () => {
  await record();
  writeFileSync(at('rules'), '[inject-error]\nevent = "write_aio"\nonce = "on"\n');
  const words = ['--record', 'run.ndjson', '-f', 'qcow2', 'blkdebug:rules:disk.qcow2'];
  copyFileSync(at('before.qcow2'), at('disk.qcow2'));
  await runProgram(blkscope, words, { cwd: folder, stdin: 'write 0 4k\nwrite 0 4k\n' });
  expect(await replay('before.qcow2')).toMatchObject({
    stdout: expect.stringMatching(/2 commands and \d+ records, the same again\n$/),
    exit: '0',
  });
});

it('says where a session differs, and that its image has changed since', async () => {
  await record();
  const changed = await replay();
  expect(changed.exit).toBe('1');
  expect(changed.stdout).toMatch(
    /^run.ndjson: differs in or after command 1: write -P 1 0 64k\nrecorded: .*\nreplayed: /,
  );
  expect(changed.stderr).toContain("'disk.qcow2' was changed after the recording began");
  const run = readFileSync(at('run.ndjson'), 'utf8');
  writeFileSync(at('run.ndjson'), run.replace('wrote 65536', 'wrote 65537'));
  const other = await replay('before.qcow2');
  expect([other.exit, other.stdout]).toEqual([
    '1',
    expect.stringMatching(/command 1: .*\nrecorded: output .*wrote 65537/),
  ]);
  writeFileSync(at('run.ndjson'), run.replace(/.*"event":"l2_update".*\n/, ''));
  expect((await replay('before.qcow2')).stdout).toMatch(/replayed: event .*l2_update/);
  const fired = run.replace(/(.*"event":"l2_update".*\n)/, '$1$1');
  writeFileSync(at('run.ndjson'), fired);
  expect((await replay('before.qcow2')).exit).toBe('1');
});

it('compares a recording that was torn off as far as it goes', async () => {
  await record();
  const lines = readFileSync(at('run.ndjson'), 'utf8').split('\n');
  writeFileSync(at('run.ndjson'), `${lines.slice(0, 120).join('\n')}\n{"sequence":1`);
  const torn = await replay('before.qcow2');
  expect([torn.exit, torn.stdout]).toEqual(['0', expect.stringContaining('the same again')]);
  expect(torn.stderr).toContain('is torn and left out');
  expect(torn.stderr).toContain('did not end in order');
});

it('refuses what cannot be run again, with a reason', async () => {
  await record();
  const lines = readFileSync(at('run.ndjson'), 'utf8').split('\n');
  const [header = ''] = lines;
  const cases: [string, RegExp][] = [
    [`${header}\n`, /does not begin with its session/],
    [`${header}\n${lines.find((line) => line.includes('"nodes":[{'))}\n`, /does not begin with its session/],
    [`${header.replace('"-D"', '"--nosuch"')}\n${lines[1]}\n`, /command line cannot be read/],
    [`${header.replace('disk.qcow2', 'nothing')}\n${lines[1]}\n`, /cannot be opened: .*No such file/],
    [`${header.replace('disk.qcow2', 'nbd://localhost/x')}\n${lines[1]}\n`, /none of the driver 'nbd'/],
    [`${header}\nhello\n${lines[1]}\n`, /line 2: not JSON/],
  ];
  for (const [text, reason] of cases) {
    writeFileSync(at('run.ndjson'), text);
    expect(await replay(), String(reason)).toMatchObject({ exit: '2', stderr: expect.stringMatching(reason) });
  }
  for (const name of ['run.html', 'run.json']) {
    await runProgram(blkscope, ['--record', name, '-c', 'length', 'before.qcow2'], { cwd: folder });
    const shown = await runProgram(blkscope, ['replay', name], { cwd: folder });
    expect(shown).toMatchObject({ exit: '2', stderr: expect.stringContaining('one that can be run again') });
  }
  appendFileSync(at('find'), '{}');
  const find = await runProgram(blkscope, ['replay', 'find'], { cwd: folder });
  expect(find).toMatchObject({ exit: '2', stderr: expect.stringContaining('no find of a search') });
});

it('runs no command of the host, and ends none of its programs, whatever a recording says', async () => {
  await record();
  const lines = readFileSync(at('run.ndjson'), 'utf8').split('\n');
  const header = (lines[0] ?? '').replace('"command":', '"columns":80,"command":');
  const evil = ['!touch evil', 'sigraise 9', 'abort', 'create evil 1M', 'record start evil.ndjson', 'rule save evil'];
  const base = { timeNs: 1e9, request: 0, node: '', kind: 'command', depth: 0 };
  const opening = lines.slice(1, lines.findIndex((line) => line.includes('"kind":"image-opened"')) + 1);
  const records = evil.map((line, index) => JSON.stringify({ sequence: 1000 + index, ...base, line }));
  writeFileSync(at('run.ndjson'), `${[header, ...opening, ...records].join('\n')}\n`);
  const outcome = await replay('before.qcow2');
  expect(outcome).toMatchObject({ exit: '0', stdout: expect.stringContaining('6 commands') });
  expect(outcome.stderr.match(/was left out/g)).toHaveLength(6);
  expect(() => readFileSync(at('evil'))).toThrow('ENOENT');
});
