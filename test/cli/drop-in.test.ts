/**
 * On a terminal in the place of qemu-io: under its name, or with its prompt. Avocado's QemuIOShellSession waits for a
 * pattern at the end of what was printed; here the 26 error events of its blkdebug test are driven so.
 */
import { symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { spawn } from '@lydell/node-pty';
import { describe, expect, it } from 'vitest';
import { makeImage } from '../drivers/qcow2/make-image.ts';
import { plainEnvironment } from '../helpers/run-program.ts';
import { useFolder } from '../helpers/sandbox.ts';

const folder = useFolder();
const bin = path.resolve(import.meta.dirname, '../../bin/blkscope.js');
const link = path.join(folder, 'qemu-io');
symlinkSync(bin, link);
const PROMPT = /qemu+-io>\s*$/;

const errorEvents = (
  'l1_update l1_grow_alloc_table l1_grow_write_table l1_grow_activate_table l2_load l2_update l2_update_compressed ' +
  'l2_alloc_cow_read l2_alloc_write read_aio read_backing_aio read_compressed write_aio write_compressed vmstate_load ' +
  'vmstate_save cow_read cow_write reftable_load reftable_grow refblock_load refblock_update refblock_update_part ' +
  'refblock_alloc refblock_alloc_write cluster_alloc'
).split(' ');

class Expecting {
  text = '';
  readonly exit: Promise<number>;
  readonly #pty;
  #news: () => void = () => {};
  #isOver = false;

  constructor(program: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    this.#pty = spawn(program, [...args], {
      cwd: folder,
      env: { ...plainEnvironment(), XDG_STATE_HOME: folder, XDG_CONFIG_HOME: folder, ...env },
    });
    this.#pty.onData((text) => {
      this.text += text;
      this.#news();
    });
    this.exit = new Promise((resolve) => {
      this.#pty.onExit(({ exitCode }) => {
        this.#isOver = true;
        this.#news();
        resolve(exitCode);
      });
    });
  }

  /** Sends a line, or nothing, and gives what was printed until the prompt stands at the end. */
  async command(line: string | null): Promise<string> {
    const start = this.text.length;
    if (line !== null) this.#pty.write(`${line}\n`);
    while (!PROMPT.test(this.text.slice(start))) {
      if (this.#isOver) throw new Error(`no prompt: ${JSON.stringify(this.text.slice(start))}`);
      await new Promise<void>((resolve) => {
        this.#news = resolve;
      });
    }
    return this.text.slice(start);
  }

  send(text: string): void {
    this.#pty.write(text);
  }
}

describe.each([
  ['called qemu-io, on a dumb terminal', link, [], { TERM: 'dumb' }],
  ['called qemu-io', link, [], { TERM: 'xterm' }],
  ['with its prompt, on a dumb terminal', bin, ['--prompt', 'qemu-io> '], { TERM: 'dumb' }],
  ['with its prompt', bin, ['--prompt', 'qemu-io> '], { TERM: 'linux' }],
])('%s', (_, program, args, env) => {
  it('answers as that program to those who wait for its prompt', async () => {
    writeFileSync(path.join(folder, 'small'), Buffer.alloc(1 << 20));
    const session = new Expecting(program, [...args, '-f', 'raw', 'small'], env);
    expect(await session.command(null)).toMatch(env.TERM === 'dumb' ? /^qemu-io> $/ : /qemu-io> $/);
    expect(await session.command('length')).toContain('1 MiB\r\n');
    expect(await session.command('lenx\x7fgth')).toContain('1 MiB\r\n');
    expect(await session.command('open /nonexistent')).toContain('file open already');
    expect(await session.command('sleep x')).toMatch(/\r\nqemu-io: |x is not a valid/);
    await session.command('close');
    expect(await session.command('open /nonexistent')).toContain("qemu-io: can't open device /nonexistent");
    session.send('quit\n');
    await session.exit;
    expect(session.text).not.toContain('blkscope');
    if (env.TERM === 'dumb') expect(session.text).not.toContain('\x1b');
  });
});

describe('the blkdebug test of Avocado', () => {
  it.each(errorEvents)('gets through a session with an error at %s', async (event) => {
    writeFileSync(path.join(folder, 'disk.qcow2'), makeImage({ clusterBits: 9 }));
    const rules = `[inject-error]\nevent = "${event}"\nerrno = "5"\nimmediately = "off"\n`;
    writeFileSync(path.join(folder, 'rules.conf'), rules);
    const session = new Expecting(link, ['-f', 'qcow2', 'blkdebug:rules.conf:disk.qcow2'], { TERM: 'dumb' });
    if (event === 'reftable_load') {
      // The image cannot be opened: qemu-io says so and ends.
      expect(await session.exit).toBe(1);
      expect(session.text).toContain('Could not initialize refcount handling: Input/output error');
      return;
    }
    await session.command(null);
    for (const line of ['write 0 64k', 'read 0 64k', 'write -c 64k 512', 'write -b 0 1k', 'read -b 0 1k', 'aio_flush'])
      expect(await session.command(line)).toMatch(PROMPT);
    session.send('quit\n');
    await session.exit;
    expect(session.text).not.toContain('internal error');
    expect(session.text).not.toContain('\x1b');
  });
});
