/** `info`: prints what the driver says about the image. */
import type { DriverInfo, SpecificInfo, SpecificValue } from '../../block/driver.ts';
import { BlockError, errnoOf } from '../../block/error.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import { driverInfo } from '../../block/request/info.ts';
import { Errno } from '../../util/errno.ts';
import { formatSize } from '../../util/format.ts';
import { printable } from '../../util/printable.ts';
import type { Command } from '../command.ts';
import { CommandFailure } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { flag, OptionTable } from '../words/option-table.ts';
import { nodeRows } from './nodes.ts';

const options = new OptionTable({ json: flag('j', 'as JSON', { isHidden: true }) });

export const info = {
  name: 'info',
  aliases: ['i'],
  oneline: 'prints information about the current file',
  minArgs: 0,
  maxArgs: 0,
  acceptsAlso: ([, word, ...more]) => word === '-j' && more.length === 0,
  needsFile: true,
  looksOnly: true,
  options,
  help: [
    'The format, the sizes of its structures, and what the driver says of the image; on a terminal also the path of the',
    'file, its length, and the nodes.',
    '  info -j    all of it as JSON',
  ],
  run: runInfo,
} satisfies Command;

async function runInfo(session: SessionState, argv: string[]): Promise<void> {
  const { top } = session;
  // An image that turned out to be corrupt has no driver any more; qemu-io says nothing.
  if (top.closed) throw new CommandFailure(Errno.ENOMEDIUM);
  const { driver } = top;
  if (options.parse(session, argv).options.json) {
    await printAsJson(session);
    return;
  }
  if (session.output.isTerminal) printOverview(session);
  session.output.stdout(`format name: ${driver.formatName}\n`);
  if (driver.protocolName !== undefined) session.output.stdout(`format name: ${driver.protocolName}\n`);

  const facts = factsOf(top);
  session.output.stdout(
    `cluster size: ${formatSize(facts.clusterBytes)}\nvm state offset: ${formatSize(facts.vmStateOffset)}\n`,
  );
  const specific = await specificOf(session);
  if (specific !== null) session.output.stdout(`Format specific information:\n${treeLines(specific, 1)}`);
}

async function printAsJson(session: SessionState): Promise<void> {
  const { top } = session;
  const { clusterBytes, vmStateOffset } = factsOf(top);
  const nodes = nodeRows(top);
  const facts = {
    file: top.filename,
    format: top.driver.formatName,
    length: nodes[0]?.length ?? null,
    clusterBytes,
    vmStateOffset,
    specific: await specificOf(session),
    nodes,
  };
  session.output.stdout(`${JSON.stringify(facts)}\n`);
}

/** On a terminal: which file this is, how long it is, and its nodes. In a pipe every line is qemu-io's. */
function printOverview({ top, output }: SessionState): void {
  const rows = nodeRows(top);
  const length = rows[0]?.length ?? null;
  output.stdout(`file: ${printable(top.filename)}\n`);
  if (length !== null) output.stdout(`length: ${formatSize(length)} (${length} bytes)\n`);
  output.stdout(`nodes: ${rows.map(({ node, driver }) => `${printable(node)} (${driver})`).join(', ')}\n`);
}

async function specificOf({ top }: SessionState): Promise<SpecificInfo | null> {
  try {
    return (await top.driver.getSpecificInfo?.(top)) ?? null;
  } catch (error) {
    // The message is the driver's, the status is not.
    if (error instanceof BlockError) throw new BlockError(Errno.EIO, error.message);
    throw error;
  }
}

function factsOf(top: BlockNode): DriverInfo {
  try {
    return driverInfo(top);
  } catch (error) {
    // qemu-io fails without a word.
    throw new CommandFailure(errnoOf(error));
  }
}

/** A tree of values, one a line, four spaces a level. Dashes in keys become spaces. */
function treeLines(tree: SpecificValue, depth: number): string {
  if (typeof tree !== 'object') return `${tree}`;
  const entries = Array.isArray(tree)
    ? tree.map((value, index): [string, SpecificValue] => [`[${index}]`, value])
    : Object.entries(tree as Record<string, SpecificValue>).map(([key, value]): [string, SpecificValue] => [
        key.replaceAll('-', ' '),
        value,
      ]);
  const indent = '    '.repeat(depth);
  return entries
    .map(([key, value]) =>
      typeof value === 'object' ? `${indent}${key}:\n${treeLines(value, depth + 1)}` : `${indent}${key}: ${value}\n`,
    )
    .join('');
}
