/** The commands that are there from the start. All others are loaded with the first line that is none of these. */
import type { Compat } from '../../block/compat.ts';
import { type Command, CommandTable } from '../command.ts';
import { aioFlush } from './aio-flush.ts';
import { aioRead } from './aio-read.ts';
import { aioWrite } from './aio-write.ts';
import { flush } from './flush.ts';
import { quit } from './quit.ts';
import { read } from './read.ts';
import { write } from './write.ts';

/**
 * Most scripts are made of these alone, and start sooner without the others. They are the same in every version of
 * qemu-io: until all commands are there, nothing looks at `since`.
 */
export const firstCommands: readonly Command[] = [read, write, flush, aioRead, aioWrite, aioFlush, quit];

/** The commands of a version of qemu-io, and ours, as far as they are needed. */
export function growingTable(compat: Compat): CommandTable {
  return new CommandTable({ first: firstCommands }, async () => (await import('./index.ts')).groupsOf(compat));
}
