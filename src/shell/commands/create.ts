/** `create`: makes an image, as `qemu-img create` does. Not in qemu-io. */
import { BlockError } from '../../block/error.ts';
import { loadDriver } from '../../block/open/driver-table.ts';
import { Errno } from '../../util/errno.ts';
import type { Command } from '../command.ts';
import { CommandFailure, usage } from '../failure.ts';
import type { SessionState } from '../session-state.ts';
import { flag, type Option, OptionTable, textSetting } from '../words/option-table.ts';

const formats: readonly string[] = ['raw', 'qcow2', 'luks', 'vmdk'];

/** Several of them are one list. */
const createOptions: Option<string> = {
  initial: '',
  letters: [
    {
      letter: 'o',
      argument: 'options',
      help: 'options of the format and the file, as name=value,…; "help" lists them',
      take: (before: string, text) => (before === '' ? text : `${before},${text}`),
    },
  ],
};

const options = new OptionTable({
  isQuiet: flag('q', 'say nothing'),
  isUnsafe: flag('u', 'do not open the backing file; then a size is needed'),
  backing: textSetting('b', 'backing', 'the backing file'),
  backingFormat: textSetting('F', 'fmt', 'the format of the backing file'),
  format: {
    initial: 'raw',
    letters: [
      {
        letter: 'f',
        argument: 'fmt',
        help: 'the format: raw, qcow2, luks, vmdk',
        values: formats,
        take: (_before: string, text) => text,
      },
    ],
  },
  text: createOptions,
});

export const create = {
  name: 'create',
  args: 'file [size]',
  oneline: 'makes a new image',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  needsFile: false,
  actsOutside: true,
  options,
  help: [
    'Makes an image as qemu-img create does: its options, its messages, the same bytes. A file of that name is overwritten.',
    'The session needs no image, and the one that it has stays open. Passphrases are secrets of --object. A file that cannot be',
    'made anew, an NBD export or a device, is used as it is, and its first sector is cleared.',
    '  create -f qcow2 disk.qcow2 1G',
    '  create -f qcow2 -o cluster_size=4k,extended_l2=off,lazy_refcounts=on disk.qcow2 64M',
    '  create -f qcow2 -b disk.qcow2 -F qcow2 over.qcow2',
    '  create -f qcow2 -o encrypt.format=luks,encrypt.key-secret=s0 disk.qcow2 1G',
  ],
  operands: ['file', 'length'],
  run: runCreate,
} satisfies Command;

async function runCreate(session: SessionState, argv: string[]): Promise<void> {
  const { options: given, words } = options.parse(session, argv);
  const { operands } = words;
  const [filename, sizeText] = operands;
  if (given.text === 'help' || given.text === '?') {
    await listOptions(session, given.format);
    return;
  }
  if (filename === undefined || operands.length > 2) throw usage();
  if (given.text !== '' && !isOptionList(given.text)) {
    session.error(`Invalid option list: ${given.text}`);
    throw new CommandFailure(Errno.EINVAL);
  }
  const size = sizeText === undefined ? null : sizeOf(session, sizeText);
  const { createImage } = await import('../../block/create.ts');
  const { privateContext } = await import('../images/private-context.ts');
  const context = privateContext(session);
  try {
    await createImage(
      context,
      {
        filename,
        format: given.format,
        options: given.text,
        size,
        backing: given.backing,
        backingFormat: given.backingFormat,
        isUnsafe: given.isUnsafe,
      },
      (line) => {
        if (!given.isQuiet) session.output.stdout(`${line}\n`);
      },
    );
  } catch (error) {
    if (!(error instanceof BlockError)) throw error;
    session.error(`${filename}: ${error.message}`);
    throw new CommandFailure(error.errno);
  }
}

/** A comma at an end would be one of a value: those are doubled. */
function isOptionList(text: string): boolean {
  const trailing = text.length - text.replace(/,+$/, '').length;
  return !text.startsWith(',') && trailing % 2 === 0;
}

function sizeOf(session: SessionState, text: string): bigint {
  const size = session.parseSize(text, session);
  if (typeof size !== 'string') return BigInt(size);
  if (size === 'range') {
    session.error('Invalid image size specified. Must be between 0 and 9223372036854775807.');
  } else if (session.context.compat.has('quotesImageSize')) {
    session.error(`Invalid image size specified: '${text}'`);
  } else {
    session.error('Invalid image size specified. You may use k, M, G, T, P or E suffixes for');
    session.error('kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.');
  }
  throw new CommandFailure(Errno.EINVAL);
}

/** The options of a format and of files of the host. */
async function listOptions(session: SessionState, format: string): Promise<void> {
  const rows: string[] = [];
  for (const name of new Set([format, 'file'])) {
    const known = session.context.drivers.find(name);
    const driver = known === null ? null : await loadDriver(known);
    const options = await driver?.createOptions?.();
    if (options === undefined) throw new BlockError(Errno.ENOTSUP, `images of format '${name}' cannot be made`);
    for (const { name: option, type, initial, help } of options) {
      const text = `${option}=${type}`.padEnd(32);
      rows.push(`${text} ${help}${initial === undefined ? '' : ` (${initial})`}`);
    }
  }
  session.output.stdout([...new Set(rows)].map((row) => `  ${row}\n`).join(''));
}
