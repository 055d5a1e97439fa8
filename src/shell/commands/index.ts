/** The shell's commands, by purpose. */
import { type Compat, defaultCompat, type Version } from '../../block/compat.ts';
import { type Command, type CommandGroups, CommandTable } from '../command.ts';
import { abort } from './abort.ts';
import { aioFlush } from './aio-flush.ts';
import { aioRead } from './aio-read.ts';
import { aioWrite } from './aio-write.ts';
import { alloc } from './alloc.ts';
import { bail } from './bail.ts';
import { breakCommand } from './break.ts';
import { cancel } from './cancel.ts';
import { check } from './check.ts';
import { checkpoint } from './checkpoint.ts';
import { close } from './close.ts';
import { commit } from './commit.ts';
import { compare } from './compare.ts';
import { create } from './create.ts';
import { diff } from './diff.ts';
import { aioDiscard, discard } from './discard.ts';
import { display, onStop } from './display.ts';
import { dump } from './dump.ts';
import { events } from './events.ts';
import { exportCommand } from './export.ts';
import { flush } from './flush.ts';
import { back, goTo } from './goto.ts';
import { help } from './help.ts';
import { hostCommand } from './host-command.ts';
import { info } from './info.ts';
import { length } from './length.ts';
import { live } from './live.ts';
import { map } from './map.ts';
import { nodes } from './nodes.ts';
import { open } from './open.ts';
import { poke } from './poke.ts';
import { quit } from './quit.ts';
import { read } from './read.ts';
import { readv } from './readv.ts';
import { record } from './record.ts';
import { removeBreak } from './remove-break.ts';
import { reopen } from './reopen.ts';
import { requests } from './requests.ts';
import { resume } from './resume.ts';
import { rule } from './rule.ts';
import { rules } from './rules.ts';
import { sigraise } from './sigraise.ts';
import { sleep } from './sleep.ts';
import { snapshot } from './snapshot.ts';
import { repeat, source } from './source.ts';
import { state } from './state.ts';
import { step, until } from './step.ts';
import { suspended } from './suspended.ts';
import { truncate } from './truncate.ts';
import { waitBreak } from './wait-break.ts';
import { watch } from './watch.ts';
import { where } from './where.ts';
import { who } from './who.ts';
import { write } from './write.ts';
import { writev } from './writev.ts';
import { zoneCommands } from './zones.ts';

const groups: CommandGroups = {
  images: [create, open, close, reopen, info, nodes, length, truncate, snapshot, compare, commit],
  data: [read, readv, write, writev, discard, flush, alloc, map],
  metadata: [where, who, dump, diff, check, poke],
  asynchronous: [aioRead, aioWrite, aioDiscard, aioFlush, requests],
  breakpoints: [breakCommand, watch, waitBreak, resume, step, until, display, onStop, removeBreak, suspended, cancel],
  rules: [rule, rules, state],
  observing: [events, live, record],
  time: [checkpoint, goTo, back],
  serving: [exportCommand],
  scripts: [source, repeat, bail, sleep],
  zones: zoneCommands,
  program: [help, hostCommand, quit, abort, sigraise],
};

/** The commands of a version of qemu-io, and ours. */
export function commandsOf(compat: Compat): CommandTable {
  const table = tables.get(compat.version) ?? new CommandTable(groupsOf(compat));
  tables.set(compat.version, table);
  return table;
}

/** All commands of a version by purpose, without groups that are empty. */
export function groupsOf(compat: Compat): CommandGroups {
  const isThere = ({ since }: Command): boolean => since === undefined || compat.has(since);
  const ofVersion = Object.entries(groups).map(([name, members]) => [name, members.filter(isThere)] as const);
  return Object.fromEntries(ofVersion.filter(([, members]) => members.length > 0));
}

const tables = new Map<Version, CommandTable>();

/** The commands where no version was asked for. */
export const commandTable = commandsOf(defaultCompat);
