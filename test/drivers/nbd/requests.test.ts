/** Requests of the shell on an export: what goes over the wire, and what comes of the replies. */
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Command, TransmissionFlag } from '../../../src/nbd/wire.ts';
import { useFolder } from '../../helpers/sandbox.ts';
import { nbdShell, type NbdShell, until } from './nbd-shell.ts';
import { type Behaviour, chunk, type Request, ScriptedServer, simpleReply, u16, u32, u64 } from './scripted-server.ts';

const folder = useFolder();
const socket = path.join(folder, 'server');
const MIB = 1 << 20;

let server: ScriptedServer;
let shell: NbdShell;

beforeEach(async () => {
  server = new ScriptedServer(socket, MIB);
  await server.start();
  shell = nbdShell();
});

afterEach(async () => {
  // A request that was never answered ends with its connection.
  await server.stop();
  await shell.session.close();
});

async function open(behaviour: Behaviour = {}, options = {}, flags?: number): Promise<boolean> {
  server.behaviour = behaviour;
  return shell.open({ driver: 'raw', 'file.driver': 'nbd', 'file.path': socket, ...options }, flags);
}

describe('requests', () => {
  it('write, read, discard, zero and flush as they are asked to', async () => {
    await open();
    const said = await shell.run(
      'write -P 7 4k 8k',
      'read -P 7 4k 8k',
      'write -f -P 1 0 512',
      'write -z 64k 64k',
      'write -z -u 64k 64k',
      'write -z -n 128k 64k',
      'discard 0 4k',
      'flush',
    );
    expect(said).not.toContain('failed');
    expect(server.log).toEqual([
      'WRITE 8192@4096',
      'READ 8192@4096',
      'WRITE 512@0 fua',
      'WRITE_ZEROES 65536@65536 no_hole',
      'WRITE_ZEROES 65536@65536',
      'WRITE_ZEROES 65536@131072 no_hole fast_zero',
      'TRIM 4096@0',
      'FLUSH 0@0',
    ]);
    expect(server.content.subarray(4096, 12288).every((byte) => byte === 7)).toBe(true);
  });

  it('do without what the server cannot: FUA by a flush, zeroes as data, no discard', async () => {
    await open({ flags: TransmissionFlag.HAS_FLAGS | TransmissionFlag.SEND_FLUSH });
    expect(await shell.run('write -f 0 512', 'write -z 0 512', 'discard 0 4k')).not.toContain('failed');
    expect(server.log).toEqual(['WRITE 512@0', 'FLUSH 0@0', 'WRITE 512@0']);
  });

  it('keep to the limits that the server tells', async () => {
    await open({ blockSizes: [4096, 4096, 8192] });
    await shell.run('write -P 3 512 512', 'read -P 3 512 512', 'read 0 32k');
    expect(server.log).toEqual([
      'READ 4096@0',
      'WRITE 4096@0',
      'READ 4096@0',
      'READ 8192@0',
      'READ 8192@8192',
      'READ 8192@16384',
      'READ 8192@24576',
    ]);
  });

  it('go on in parallel, and end in the order of the replies', async () => {
    const held: Request[] = [];
    await open({
      onRequest: (request, peer) => {
        if (request.type !== Command.READ) return false;
        held.push(request);
        if (held.length === 3) for (const each of held.reverse()) peer.answer(each);
        return true;
      },
    });
    const said = await shell.run('aio_read 0 512', 'aio_read 4k 512', 'aio_read 8k 512', 'aio_flush');
    expect([...said.matchAll(/offset (\d+)/g)].map(([, offset]) => offset)).toEqual(['8192', '4096', '0']);
  });

  it('wait for each other when 16 are in flight', async () => {
    let most = 0;
    const held: (() => void)[] = [];
    await open({
      onRequest: (request, peer) => {
        if (request.type !== Command.READ) return false;
        held.push(() => peer.answer(request));
        most = Math.max(most, held.length);
        if (held.length === 16 || server.log.length === 20) for (const answer of held.splice(0)) answer();
        return true;
      },
    });
    const lines = Array.from({ length: 20 }, (_, index) => `aio_read ${index * 512} 512`);
    const said = await shell.run(...lines, 'aio_flush');
    expect([...said.matchAll(/read 512\/512/g)]).toHaveLength(20);
    expect(most).toBe(16);
  });

  it('read holes and parts of a structured reply in any order', async () => {
    await open({
      onRequest: ({ cookie, type }, { send }) => {
        if (type !== Command.READ) return false;
        send(chunk(cookie, 1, 0, Buffer.concat([u64(1536), Buffer.alloc(512, 3)])));
        send(chunk(cookie, 2, 0, Buffer.concat([u64(0), u32(1024)])));
        send(
          chunk(cookie, 1, 0, Buffer.concat([u64(1024), Buffer.alloc(512, 2)])),
          chunk(cookie, 0, 1, Buffer.alloc(0)),
        );
        return true;
      },
    });
    expect(await shell.run('read -P 0 -l 1k 0 2k', 'read -P 3 -s 1536 -l 512 0 2k')).not.toContain('failed');
  });

  it('report the errors that the server tells', async () => {
    const errors = [1, 5, 12, 28, 75, 95, 108, 4711];
    await open({
      onRequest: ({ cookie }, { send }) => {
        send(simpleReply(cookie, errors.shift()));
        return true;
      },
    });
    const said = await shell.run(...Array.from(errors, () => 'write 0 512'));
    expect(said.trim().split('\n')).toEqual([
      'write failed: Operation not permitted',
      'write failed: Input/output error',
      'write failed: Cannot allocate memory',
      'write failed: No space left on device',
      'write failed: Value too large for defined data type',
      'write failed: Operation not supported',
      'write failed: Cannot send after transport endpoint shutdown',
      'write failed: Invalid argument',
    ]);
  });

  it('report the first error of several in a structured reply, and go on after it', async () => {
    await open({
      onRequest: ({ cookie, type }, { send }) => {
        if (type !== Command.READ || server.log.length > 1) return false;
        send(chunk(cookie, 0x8001, 0, Buffer.concat([u32(28), u16(2), Buffer.from('no')])));
        send(chunk(cookie, 0x8002, 1, Buffer.concat([u32(5), u16(0), u64(0)])));
        return true;
      },
    });
    expect(await shell.run('read 0 512', 'read 0 512')).toMatch(/^read failed: No space left on device\nread 512\/512/);
  });

  it('read what an export of an odd length lacks of its last sector as zero', async () => {
    await server.stop();
    server = new ScriptedServer(socket, 1000);
    server.content.fill(9);
    await server.start();
    await open();
    const said = await shell.run('length', 'read -P 9 512 488', 'read -P 0 1000 24', 'map');
    expect(said).toMatch(/^1 KiB\n/);
    expect(said).not.toContain('failed');
    expect(server.log).toContain('READ 488@512');
  });

  it('ask for the state of the whole export, range after range', async () => {
    await open();
    server.content.fill(1, 8192, 12288);
    expect(await shell.run('map')).toBe('1 MiB (0x100000) bytes     allocated at offset 0 bytes (0x0)\n');
    const asked = server.log.map((line) => /^BLOCK_STATUS \d+@(\d+) req_one$/.exec(line)?.[1]);
    expect(asked.slice(0, 4)).toEqual(['0', '4096', '8192', '12288']);
  });
});

describe('an export', () => {
  it('says goodbye when it is closed', async () => {
    await open();
    await shell.run('close');
    await until(() => server.log.length === 2);
    expect(server.log).toEqual(['FLUSH 0@0', 'DISC 0@0']);
  });

  it('that is read-only is opened for reading alone', async () => {
    const readOnly = { flags: TransmissionFlag.HAS_FLAGS | TransmissionFlag.READ_ONLY };
    expect(await open(readOnly)).toBe(false);
    expect(shell.said()).toBe("qemu-io: can't open: Could not open image: Permission denied\n");
    expect(await open(readOnly, {}, 0)).toBe(true);
    expect(await shell.run('reopen -w', 'write 0 512')).toBe(
      "qemu-io: Can't reopen read-only NBD mount as read/write\nqemu-io: Block node is read-only\n",
    );
  });

  it('keeps its size', async () => {
    await open();
    expect(await shell.run('truncate 2M', 'truncate 512k', 'length')).toBe('qemu-io: Cannot grow NBD nodes\n1 MiB\n');
  });

  it('is called by its URI in messages', async () => {
    await open({}, { 'file.export': 'disk' });
    expect(shell.session.top.filename).toBe(`nbd+unix:///disk?socket=${socket}`);
  });
});
