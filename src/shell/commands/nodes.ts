/** `nodes`: the nodes of the open image, from the top down. Not in qemu-io. */
import { Open } from '../../block/flags.ts';
import type { BlockNode } from '../../block/graph/node.ts';
import { formatSize } from '../../util/format.ts';
import type { Command } from '../command.ts';
import { usage } from '../failure.ts';
import { type Column, printTable } from '../output/table.ts';
import { flag, OptionTable } from '../words/option-table.ts';

const options = new OptionTable({ json: flag('j', 'as JSON') });

export const nodes = {
  name: 'nodes',
  oneline: 'lists the nodes of the open image',
  minArgs: 0,
  maxArgs: 1,
  needsFile: true,
  looksOnly: true,
  options,
  help: [
    'For each node, from the top down: its name, its driver, which child of its parent it is, the file that it was opened',
    'from, its length, and whether it is open for writing. Rules and events name nodes so.',
  ],
  run(session, argv) {
    const { options: given, words } = options.parse(session, argv);
    if (words.operands.length > 0) throw usage();
    printTable(session, nodeRows(session.top), columns, { json: given.json, none: 'there are no nodes' });
  },
} satisfies Command;

/** One node of the graph. */
interface NodeRow {
  readonly node: string;
  readonly driver: string;
  /** The name of the child that it is of its parent; empty at the top. */
  readonly child: string;
  readonly depth: number;
  readonly file: string;
  /** In bytes; null if it cannot be told. */
  readonly length: number | null;
  readonly access: 'read-only' | 'read-write';
}

const columns: readonly Column<NodeRow>[] = [
  { title: 'NODE', text: ({ node, depth }, brief) => (brief ? '  '.repeat(depth) : '') + node },
  { title: 'DRIVER', text: ({ driver }) => driver },
  { title: 'CHILD', text: ({ child }) => child },
  { title: 'LENGTH', text: lengthText, alignRight: true },
  { title: 'ACCESS', text: ({ access }) => access },
  { title: 'FILE', text: ({ file }) => file },
];

function lengthText({ length }: NodeRow, brief: boolean): string {
  if (length === null) return '';
  return brief ? formatSize(length) : String(length);
}

/** The nodes below `top`, itself first, each before its children. */
export function nodeRows(top: BlockNode, child = '', depth = 0): NodeRow[] {
  const { nodeName, driver, filename, children, openFlags } = top;
  const row: NodeRow = {
    node: nodeName,
    driver: driver.formatName,
    child,
    depth,
    file: filename,
    length: lengthOf(top),
    access: (openFlags & Open.READ_WRITE) === 0 ? 'read-only' : 'read-write',
  };
  return [row, ...children.flatMap((link) => nodeRows(link.node, link.name, depth + 1))];
}

function lengthOf(node: BlockNode): number | null {
  try {
    return node.getLength();
  } catch {
    // A node that turned out to be corrupt, a drive without a disc.
    return null;
  }
}
