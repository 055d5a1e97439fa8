/** A write that is cancelled at any event gives back what it took and lets others go on; the image stays sound. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Open } from '../../../../src/block/flags.ts';
import { Options } from '../../../../src/block/options/options.ts';
import { commandTable } from '../../../../src/shell/commands/index.ts';
import { Session } from '../../../../src/shell/session.ts';
import { Qcow2Host } from '../qcow2-host.ts';
import { drivers } from '../../../../src/drivers/index.ts';

let host: Qcow2Host;
beforeEach(() => {
  host = new Qcow2Host();
});
afterEach(() => host.remove());

/** Events that the writes below fire on the file of an image with a backing file. */
const events = [
  'cluster_alloc',
  'l2_alloc_write',
  'l1_update',
  'write_aio',
  'cow_read',
  'cow_write',
  'read_backing_aio',
  'refblock_load',
  'refblock_alloc',
  'refblock_update_part',
  'l2_update',
  'flush_to_os',
  'flush_to_disk',
  'pwritev',
  'pwritev_done',
];

describe('a write cancelled at', () => {
  it.each(events)(
    '%s ends with ECANCELED, the other one to the same clusters is done, nothing is corrupt',
    async (event) => {
      const backing = host.image('backing', { lengthBytes: 1 << 20 });
      const below = await host.openQcow2('backing');
      expect(await host.write(below, 0, 1 << 20, 9)).toBe(0);
      await host.close(below);
      const file = host.image('x', { lengthBytes: 1 << 20, backing: { filename: backing, format: 'qcow2' } });

      let said = '';
      const stdout = (text: string): void => {
        said += text;
      };
      const session = new Session(
        {
          output: { stdout, stderr: stdout, flush() {}, drop() {}, isTerminal: false },
          drivers,
        },
        commandTable,
      );
      const isOpen = await session.open({
        filename: `blkdebug::${file}`,
        options: new Options([['driver', 'qcow2']]),
        flags: Open.READ_WRITE | Open.UNMAP,
        writethrough: true,
        forceShare: false,
      });
      expect(isOpen, said).toBe(true);
      const run = async (...lines: string[]): Promise<void> => {
        for (const line of lines) await session.execute(line);
      };
      await run(`break ${event} A`, 'aio_write -P 1 32k 200k', 'aio_write -P 2 64k 64k', 'wait_break A');
      expect(said).toContain("Suspended request 'A'");
      await run('cancel A', 'aio_flush', 'requests');
      expect(said.match(/Operation canceled/g)).toHaveLength(1);
      expect(said.match(/^wrote/gm)).toHaveLength(1);
      expect(session.loop.alive.size).toBe(0);
      said = '';
      await run('read -q -P 9 0 32k', 'write -q -P 3 512k 64k', 'close');
      expect(said).toBe('');
      expect(session.exitStatus).toBe(0);

      const again = await host.openQcow2('x');
      expect(await host.check(again)).toMatchObject({ corruptions: 0, leaks: 0, checkErrors: 0 });
      await host.close(again);
    },
  );
});
