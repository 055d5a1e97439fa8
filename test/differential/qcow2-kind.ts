/** qcow2 images, with the options that their node may have. */
import fc from 'fast-check';
import { eventNames } from '../../src/block/events/events.ts';
import { runProgram } from '../helpers/run-program.ts';
import type { Sandbox } from '../helpers/sandbox.ts';
import { applyDamage, describeDamage } from './damage.ts';
import { type ImageKind, inPercent, present } from './image-kind.ts';
import { hasOpenOrder, script } from './qcow2-commands.ts';
import { makingOf, type Qcow2Content, qcow2Image } from './qcow2-image.ts';

const onOff = fc.constantFrom('on', 'off');
const bytes = fc.constantFrom('0', '512', '1024', '4096', '16384', '65536', '262144', '2M');

const options = fc
  .record({
    'lazy-refcounts': inPercent(25, onOff),
    'pass-discard-request': inPercent(25, onOff),
    'pass-discard-snapshot': inPercent(25, onOff),
    'pass-discard-other': inPercent(25, onOff),
    'overlap-check': inPercent(25, fc.constantFrom('none', 'constant', 'cached', 'all')),
    'overlap-check.inactive-l2': inPercent(10, onOff),
    'overlap-check.active-l2': inPercent(10, onOff),
    'l2-cache-size': inPercent(25, bytes),
    'l2-cache-entry-size': inPercent(25, fc.constantFrom('512', '512', '512', '512', '1024', '4096')),
    'refcount-cache-size': inPercent(25, bytes),
    'cache-size': inPercent(10, bytes),
    'cache-clean-interval': inPercent(10, fc.constantFrom('0', '600')),
    'detect-zeroes': inPercent(25, fc.constantFrom('on', 'off', 'unmap')),
  })
  .map(present);

export const qcow2Kind: ImageKind<Qcow2Content> = {
  name: 'qcow2',
  driver: 'qcow2',
  image: qcow2Image,
  async create(sandbox: Sandbox, content) {
    for (const [command = '', ...args] of makingOf(content)) {
      const { stderr, exit } = await runProgram({ command, args: [] }, args, { cwd: sandbox.folder });
      // What does not fit the image is refused; but there must be one.
      if (args[0] === 'create' && exit !== '0') throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
    }
    for (const one of content.damage) applyDamage(sandbox.path('disk.img'), one);
  },
  describe: (content) =>
    [
      ...makingOf(content).map((words) => words.map((word) => (word.includes(' ') ? `'${word}'` : word)).join(' ')),
      ...content.damage.map(describeDamage),
    ].join('\n'),
  clusterBytes: (content) => content.clusterBytes,
  hasOpenOrder: (content, lines) => hasOpenOrder(lines, content.clusterBytes),
  options,
  switches: fc
    .record({
      C: fc.nat(9).map((n) => n === 0),
      s: fc.nat(19).map((n) => n === 0),
      n: fc.nat(19).map((n) => n === 0),
    })
    .map((chosen) =>
      Object.entries(chosen)
        .filter(([, isChosen]) => isChosen)
        .map(([letter]) => `-${letter}`),
    ),
  events: eventNames,
  script,
};
