/** QEMU's iotests 026, 046, 080 and 177 followed by hand: one session beside qemu-img and qemu-io, step by step. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { blkscope, runProgram } from '../helpers/run-program.ts';
import { Sandbox } from '../helpers/sandbox.ts';

/** A step: a line of the session, and the call that does the same outside; null where that is done by the next call. */
interface Step {
  readonly line: string;
  readonly call: readonly [program: string, ...args: string[]] | null;
}

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
}

const timeless = (text: string): string =>
  text
    .replaceAll('qemu-io> ', '')
    .replaceAll(/; [\d:.]+(?: sec)? \([^)]*\)/g, '; TIME')
    // What `poke` was before is ours to say.
    .replaceAll(/^\d+\t[0-9a-f]+\t[0-9a-f]+\n/gm, '')
    .replaceAll(/^qemu-(io|img): /gm, 'PROGRAM: ');

async function bySession(folder: string, steps: readonly Step[]): Promise<Outcome> {
  const input = `${steps.map(({ line }) => line).join('\n')}\nquit\n`;
  const { stdout, stderr } = await runProgram(blkscope, [], { cwd: folder, stdin: input });
  return { stdout: timeless(stdout), stderr: timeless(stderr) };
}

async function byCalls(folder: string, steps: readonly Step[]): Promise<Outcome> {
  let [stdout, stderr] = ['', ''];
  for (const { call } of steps) {
    if (call === null) continue;
    const [command, ...args] = call;
    const answer = await runProgram({ command, args: [] }, args, { cwd: folder });
    stdout += timeless(answer.stdout);
    stderr += timeless(answer.stderr);
  }
  return { stdout, stderr };
}

/** Both ways in folders of their own: the same words, and the same bytes of the image. */
async function expectSame(
  steps: readonly Step[],
  files: Readonly<Record<string, string>> = {},
  seen: (text: string) => string = (text) => text,
): Promise<void> {
  const [ours, theirs] = [new Sandbox(), new Sandbox()];
  try {
    for (const { folder } of [ours, theirs]) {
      for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
    }
    const [session, calls] = [await bySession(ours.folder, steps), await byCalls(theirs.folder, steps)];
    expect({ ...session, stdout: seen(session.stdout) }).toEqual({ ...calls, stdout: seen(calls.stdout) });
    const image = (sandbox: Sandbox): Buffer => readFileSync(path.join(sandbox.folder, 't.qcow2'));
    expect(image(ours).equals(image(theirs))).toBe(true);
  } finally {
    ours.remove();
    theirs.remove();
  }
}

const create = (options: string, size: string): Step => ({
  line: `create -f qcow2 ${options} t.qcow2 ${size}`,
  call: ['qemu-img', 'create', '-f', 'qcow2', ...options.split(' '), 't.qcow2', size],
});
const check: readonly Step[] = [
  { line: 'open -r t.qcow2', call: null },
  { line: 'check', call: ['qemu-img', 'check', '-f', 'qcow2', 't.qcow2'] },
  { line: 'close', call: null },
];

describe('026: an error at each step of an allocation', { timeout: 60_000 }, () => {
  const events =
    'l1_update l2_load l2_update l2_alloc_write write_aio refblock_load refblock_update_part refblock_alloc cluster_alloc refblock_alloc_hookup refblock_alloc_write l1_grow_alloc_table'.split(
      ' ',
    );
  const cases = events.flatMap((event) => [5, 28].map((errno) => [event, errno, errno === 5] as const));
  it.each(cases)('%s, errno %i, once %s', async (event, errno, once) => {
    const conf = `[inject-error]\nevent = "${event}"\nerrno = "${errno}"\nonce = "${once ? 'on' : 'off'}"\nimmediately = "off"\n`;
    const image = 'blkdebug:blkdebug.conf:t.qcow2';
    const steps: Step[] = [
      create('-o cluster_size=1k', '1G'),
      { line: `open ${image}`, call: null },
      { line: 'write 0 128k', call: ['qemu-io', '-c', 'write 0 128k', image] },
      { line: 'close', call: null },
      ...check,
      { line: `open ${image}`, call: null },
      { line: 'write -b 0 128k', call: ['qemu-io', '-c', 'write -b 0 128k', image] },
      { line: 'close', call: null },
      ...check,
    ];
    await expectSame(steps, { 'blkdebug.conf': conf });
  });
});

describe('046: requests that meet in clusters which another one is about to allocate', { timeout: 60_000 }, () => {
  /** A write that is held at `write_aio`, and those that come meanwhile; `before` are lines in front of it. */
  const meetings: readonly {
    readonly name: string;
    readonly before: readonly string[];
    readonly held: string;
    readonly meanwhile: readonly string[];
  }[] = [
    { name: 'on both sides', before: [], held: '-P 10 96k 8k', meanwhile: ['-P 11 72k 8k', '-P 12 112k 8k'] },
    {
      name: 'right behind it, into the next cluster',
      before: [],
      held: '-P 20 160k 8k',
      meanwhile: ['-P 21 168k 64k'],
    },
    { name: 'with a gap', before: [], held: '-P 40 288k 8k', meanwhile: ['-P 41 304k 64k'] },
    {
      name: 'the next cluster is there already',
      before: ['write -P 70 472k 32k'],
      held: '-P 60 408k 8k',
      meanwhile: ['-P 61 424k 56k'],
    },
    {
      name: 'the next cluster is there, and in the right place',
      before: ['write -P 89 512k 4k', 'write -P 90 600k 32k', 'aio_flush', 'discard 512k 64k'],
      held: '-P 80 536k 8k',
      meanwhile: ['-P 81 552k 56k'],
    },
    {
      name: 'the next cluster is compressed',
      before: ['write -P 109 640k 4k', 'write -c -P 110 704k 64k', 'aio_flush', 'discard 640k 64k'],
      held: '-P 100 664k 8k',
      meanwhile: ['-P 101 680k 56k'],
    },
    { name: 'from the cluster before it', before: [], held: '-P 121 880k 8k', meanwhile: ['-P 120 784k 96k'] },
    { name: 'from there, with a gap', before: [], held: '-P 141 1008k 8k', meanwhile: ['-P 140 912k 80k'] },
    { name: 'all around it', before: [], held: '-P 161 1072k 32k', meanwhile: ['-P 160 1040k 96k'] },
  ];
  const shell = (lines: readonly string[], image: string): Step['call'] => {
    return ['bash', '-c', `printf '%s\\n' "$@" | qemu-io ${image}`, 'bash', ...lines];
  };
  const lined = (lines: readonly string[], image: string): Step[] => [
    { line: `open ${image}`, call: null },
    ...lines.map((line, index): Step => ({ line, call: index === 0 ? shell(lines, image) : null })),
    { line: 'close', call: null },
  ];
  const clusters = Array.from({ length: 32 }, (_, index) => `write -P ${index} ${index * 64}k 64k`);

  it.each(meetings)('$name', async ({ before, held, meanwhile }) => {
    const lines = [
      ...before,
      'break write_aio A',
      `aio_write ${held}`,
      'wait_break A',
      ...meanwhile.map((words) => `aio_write ${words}`),
      'resume A',
      'aio_flush',
    ];
    const reads = [held, ...meanwhile].map((words) => `read ${words}`);
    const steps: Step[] = [
      {
        line: 'create -f qcow2 t.qcow2.base 128M',
        call: ['qemu-img', 'create', '-f', 'qcow2', 't.qcow2.base', '128M'],
      },
      ...lined(clusters, 't.qcow2.base'),
      create('-b t.qcow2.base -F qcow2', '6G'),
      ...lined([...lines, ...reads], 'blkdebug::t.qcow2'),
      ...check,
    ];
    // Which of several writes ends first, once they may go on, is up to the threads of qemu-io.
    await expectSame(steps, {}, (text) => text.replaceAll(/^wrote .*/gm, 'wrote'));
  });
});

const ioOpen = "printf 'open -o driver=qcow2,file.filename=t.qcow2\\nquit\\n' | qemu-io";

describe('080: a header with one field damaged', { timeout: 60_000 }, () => {
  /** Fields of the specification of qcow2, with values that cannot be. */
  const damages = [
    ['cluster_bits', 20, ['00000000', '0000001f', 'ffffffff']],
    ['header_length', 100, ['00000008', '7fffffff', 'ffffffff']],
    ['backing_file_offset', 8, ['00000000fffffff0', 'ffffffffffffff00', '7fffffffffffffff']],
    ['backing_file_size', 16, ['00000400', '7fffffff']],
    ['refcount_table_offset', 48, ['0000000012345678', 'ffffffffffff0000', '7fffffffffff0000']],
    ['refcount_table_clusters', 56, ['00000000', 'ffffffff', '00020001', '7fffffff']],
    ['nb_snapshots', 60, ['00010001', 'ffffffff', '7fffffff']],
    ['snapshots_offset', 64, ['0000000012345678', 'ffffffffffff0000', '7fffffffffff0000']],
    ['l1_size', 36, ['00000000', 'ffffffff', '7fffffff', '02000001']],
    ['l1_table_offset', 40, ['0000000012345678', '7fffffffffff0000', 'ffffffffffff0000']],
    ['size', 24, ['ffffffffffffffff', '7fffffffffffffff', '0100000000000000']],
    ['incompatible_features', 72, ['8000000000000000', '0000000000000002']],
    ['refcount_order', 96, ['00000007', 'ffffffff']],
    ['extension', 112, ['6803f857ffffffff', 'e2792aca7fffffff', '00000000ffffffff']],
  ] as const;
  const cases = damages.flatMap(([name, offset, values]) => values.map((hex) => [name, offset, hex] as const));
  it.each(cases)('%s at %i is %s', async (_name, offset, hex) => {
    const bytes = hex.replaceAll(/../g, '\\x$&');
    const steps: Step[] = [
      create('-o compat=1.1', '64M'),
      { line: 'open -o driver=raw,file.filename=t.qcow2', call: null },
      {
        line: `poke ${offset} ${hex}`,
        call: ['bash', '-c', `printf '${bytes}' | dd of=t.qcow2 bs=1 seek=${offset} conv=notrunc status=none`],
      },
      { line: 'close', call: null },
      { line: 'open -o driver=qcow2,file.filename=t.qcow2', call: ['bash', '-c', ioOpen] },
    ];
    await expectSame(steps);
  });
});

describe('177: limits of the layer below', { timeout: 60_000 }, () => {
  const limits = [
    'align=512,max-transfer=64k',
    'align=4k,opt-write-zero=15M,max-write-zero=15M,opt-discard=15M,max-discard=75M',
    'align=512,opt-write-zero=64k,max-write-zero=64k',
    'align=512,opt-discard=64k,max-discard=64k,max-write-zero=128k',
  ];
  const commands = [
    'write -P 11 0 128M',
    'write -P 22 64M 32M',
    'read -P 11 0 64M',
    'write -P 33 1000 11k',
    'write -z 64M 15M',
    'write -z -u 65538k 12345k',
    'discard 80000001 30M',
    'discard 100M 12345678',
    'read -P 33 1000 11k',
    'map',
    'flush',
  ];
  it.each(limits)('%s', async (text) => {
    const options = text.split(',').map((option) => `file.${option.replaceAll('.', '')}`);
    const image = `driver=qcow2,discard=unmap,file.driver=blkdebug,file.image.filename=t.qcow2,${options.join(',')}`;
    const call: Step['call'] = ['qemu-io', '--image-opts', ...commands.flatMap((line) => ['-c', line]), image];
    await expectSame([
      create('-o cluster_size=1M', '128M'),
      { line: `open -o ${image}`, call: null },
      ...commands.map((line, index): Step => ({ line, call: index === 0 ? call : null })),
      { line: 'close', call: null },
      ...check,
    ]);
  });
});
