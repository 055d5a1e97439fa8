/** Cases of hostile texts: config files, json: names, option strings, command lines, arguments of the program. */
import { commandLine, configFile, deepName, jsonName, optionString, programArguments } from './grammar.js';
import { harmless, mutated } from './mutate.js';
import { makeQcow2 } from './qcow2-writer.js';
import { Random } from './random.js';

/** @typedef {import('./verdict.js').Case} Case */

/** A sound qcow2 image, the same for all. */
const disk = makeQcow2(new Random('a plain image')).find(({ name }) => name === 'disk.img')?.data ?? Buffer.alloc(0);
const plain = Buffer.alloc(65536 + 100, 'write 0 512\n');

const MAX_WORDS = 60;

/** @param {string} seed @param {number} index @returns {Case} */
export function textCase(seed, index) {
  const random = new Random(`${seed} text ${index}`);
  const kind = random.below(100);
  if (kind < 22)
    return caseOf(index, random, {
      conf: mutated(configFile(random), random),
      open: 'open blkdebug:rules.conf:disk.img',
    });
  if (kind < 42)
    return caseOf(index, random, { open: `open ${spaceless(harmless(mutated(jsonName(random), random)))}` });
  if (kind < 45) return caseOf(index, random, { open: `open ${deepName(random)}` });
  if (kind < 62) {
    const text = spaceless(harmless(mutated(optionString(random), random)));
    return random.chance(50)
      ? caseOf(index, random, { open: `open -o ${text}` })
      : caseOf(index, random, { open: `open ${text}`, args: ['--image-opts'] });
  }
  if (kind < 98) {
    const lines = Array.from({ length: random.between(4, 14) }, () => hostileLine(random));
    const open = random.pick([
      'open disk.img',
      'open blkdebug:rules.conf:disk.img',
      'open -o driver=raw plain.img',
      'open null-co://',
    ]);
    return { ...caseOf(index, random, { conf: configFile(random) }), open, lines };
  }
  const args = programArguments(random).map((word) => harmless(mutated(word, random)).replaceAll('\0', ''));
  return { ...caseOf(index, random, { conf: configFile(random) }), args, isAlone: true };
}

/** @param {Random} random */
function hostileLine(random) {
  const text = random.chance(8)
    ? random.bytes(random.between(1, 200)).toString('latin1')
    : mutated(commandLine(random), random);
  // The lengths of one request add up.
  return harmless(text).replaceAll('\n', ' ').split(' ').slice(0, MAX_WORDS).join(' ');
}

/** In one word. @param {string} text */
function spaceless(text) {
  return text.replaceAll(/[ \n]/g, '\t');
}

/**
 * @param {number} index
 * @param {Random} random
 * @param {{ conf?: string, open?: string | null, args?: string[] }} what
 * @returns {Case}
 */
function caseOf(index, random, { conf = '', open = null, args = [] }) {
  return {
    name: `texts ${index}`,
    args,
    files: [
      { name: 'disk.img', data: disk },
      { name: 'plain.img', data: plain },
      { name: 'rules.conf', data: Buffer.from(conf, 'latin1') },
      { name: 'commands', data: Buffer.from('read 0 512\nsource commands\n') },
    ],
    open,
    isReadOnly: false,
    lines: [
      'rules',
      'info',
      'length',
      'write 0 4096',
      'aio_write 0 512',
      'read -P 1 0 512',
      'discard 0 4096',
      'state',
      'rules -j',
      'map',
    ].filter(() => random.chance(70)),
  };
}
