/** Cases with spoiled texts: blkdebug configs, json: names, option strings and command lines. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Random } from './random.js';
/** @import { Case } from './batch.js' */

const events = ['read_aio', 'write_aio', 'pwritev', 'flush_to_disk', 'l2_load', 'cluster_alloc', 'none', 'no_such'];

const sections = [
  '[inject-error]\nevent = "EVENT"\nerrno = "28"\nonce = "on"\n',
  '[inject-error "one"]\nevent = "EVENT"\nstate = "2"\nsector = "8"\nimmediately = "on"\niotype = "write"\n',
  '[set-state]\nevent = "EVENT"\nstate = "1"\nnew_state = "2"\n',
  '# a comment\n\n',
  '[inject-error]\nevent = "EVENT"\nerrno = "9223372036854775807"\n',
];

const optionStrings = [
  'driver=raw,file.driver=blkdebug,file.image.filename=disk.raw,file.inject-error.0.event=EVENT,file.inject-error.0.errno=5',
  'driver=blkdebug,image.filename=disk.raw,align=4096,max-transfer=65536,opt-discard=4096,max-write-zero=8192',
  'driver=blkdebug,image.driver=raw,image.file.driver=file,image.file.filename=disk.raw,set-state.0.event=EVENT',
  'driver=raw,offset=512,size=4096,file.filename=disk.raw,cache.direct=off,cache.no-flush=on,discard=unmap',
  'driver=null-co,size=1M,read-zeroes=on,latency-ns=10',
  'driver=qcow2,l2-cache-size=64k,overlap-check.template=all,overlap-check.main-header=off,file.filename=disk.raw',
  'driver=copy-on-read,file.driver=compress,file.file.filename=disk.raw',
  'driver=raw,file.filename=a,,b.raw,file.locking=on,file.aio=threads,node-name=x,read-only=on',
];

const jsonTexts = [
  '{"driver":"raw","file":{"driver":"blkdebug","image":{"driver":"file","filename":"disk.raw"},"inject-error":[{"event":"EVENT","errno":5,"once":true}]}}',
  "{'driver': 'raw', 'file.filename': 'disk.raw', 'file.driver': 'file'}",
  '{"driver":"blkdebug","image":"node","take-child-perms":["write","resize"],"align":512}',
  '{"driver":"null-co","size":1048576,"read-zeroes":false,"latency-ns":1e3}',
  '{"driver":"qcow2","file":{"driver":"file","filename":"disk.raw"},"backing":null}',
];

const commandLines = [
  'write -P 0xa5 0 4k',
  'write -z -u -f 64k 0x1000',
  'write -c 0 64k',
  'write -s pattern 512 1k',
  'read -v -P 7 -s 512 -l 512 0 4k',
  'read -pq 0 512',
  'readv -P 1 0 512 1k 512',
  'writev -P 255 -q 4k 512 512',
  'aio_write -z 0 64k',
  'aio_read -v 0 512',
  'aio_discard 0 4k',
  'aio_flush',
  'discard -C 0 1M',
  'flush',
  'truncate -m off 2M',
  'length',
  'map',
  'info',
  'alloc 0 64k',
  'break EVENT tag',
  'break -p EVENT A nth=2 offset=0..64k',
  'wait_break tag',
  'resume tag',
  'remove_break tag',
  'cancel A',
  'rules -j',
  'rule add inject-error event=EVENT errno=ENOSPC times=2 probability=0.5 seed=7',
  'rule add set-state event=EVENT state=1 new_state=2',
  'rule set 1 errno=EIO nth=',
  'rule disable 1',
  'rule remove all',
  'rule load blkdebug.conf',
  'rule save saved.conf',
  'state 7',
  'suspended -j',
  'requests',
  'events -n 5 -a write',
  'events -c',
  'help event EVENT',
  'help write',
  'reopen -c writeback -o cache.direct=off',
  'open -o driver=raw,read-only=on disk.raw',
  'open blkdebug::disk.raw',
  'zone_report 0 1',
  'zone_append 0 512 512',
];

/** These end the program, its script, or wait for as long as they are told. */
const ENDING = /^\s*["']?(?:q|quit|abort|sigraise|bail|sleep)\b/;

const oddities = [
  '',
  ' ',
  '\t',
  '"',
  "'",
  '\\',
  '=',
  ',,',
  '.',
  ':',
  '[',
  ']',
  '{',
  '}',
  '-',
  '--',
  '%s%n',
  '\u0000',
  '\u00e4\u6587\u{1f642}',
  '\u202e',
  '../',
  'x'.repeat(3000),
  '[{'.repeat(600),
  '9'.repeat(40),
  '-1',
  '0',
  '0x',
  '1e999',
  '0x7fffffffffffffff',
  '18446744073709551616',
  '1.5k',
  '4E',
  'nan',
  'null',
  'true',
  'on',
];

/** @param {Random} random @param {string} text */
function spoiled(random, text) {
  let units = text.replace('EVENT', random.pick(events));
  for (let count = random.below(5); count > 0; count--) {
    const at = random.below(units.length + 1);
    const end = Math.min(units.length, at + random.few(8));
    const from = random.below(units.length + 1);
    units = random.pick([
      () => units.slice(0, at) + random.pick(oddities) + units.slice(at),
      () => units.slice(0, at) + random.pick(oddities) + units.slice(end),
      () => units.slice(0, at) + units.slice(end),
      () => units.slice(0, at) + units.slice(from, from + random.few(20)) + units.slice(at),
      () => units.slice(0, at) + String.fromCodePoint(random.below(0x250)) + units.slice(end),
      // A word or number is exchanged as a whole.
      () => units.replace(random.pick([/\d+/, /[\w-]+/, /"[^"]*"/, /=[^,]*/]), () => random.pick(oddities)),
    ])();
  }
  return units;
}

const oneLine = (/** @type {string} */ text) => text.replaceAll(/[\n\r]/g, ' ');
/** As a word of a command line. */
const quoted = (/** @type {Random} */ random, /** @type {string} */ text) =>
  random.chance(80) ? `"${oneLine(text).replaceAll('"', random.chance(90) ? "'" : '"')}"` : oneLine(text);

/** @type {Readonly<Record<string, (random: Random, folder: string, name: string) => string[]>>} */
const kinds = {
  config(random, folder, name) {
    const parts = Array.from({ length: random.few(5) }, () => spoiled(random, random.pick(sections)));
    writeFileSync(path.join(folder, 'blkdebug.conf'), parts.join(random.chance(90) ? '' : '\r\n'));
    return [`open -o driver=raw blkdebug:${name}/blkdebug.conf:disk.raw`, 'read 0 4k', 'write 0 4k', 'flush', 'rules'];
  },
  json: (random) => [`open ${quoted(random, `json:${spoiled(random, random.pick(jsonTexts))}`)}`, 'read 0 512'],
  options: (random) => [`open -o ${quoted(random, spoiled(random, random.pick(optionStrings)))}`, 'read 0 512', 'info'],
  'options and a name': (random) => [
    `open -o ${quoted(random, spoiled(random, random.pick(optionStrings)))} disk.raw`,
    'write 0 512',
  ],
  commands: (random) => [
    random.pick(['open -o driver=raw blkdebug::disk.raw', 'open -o driver=qcow2 disk.qcow2', '']),
    ...Array.from({ length: random.few(10) }, () => oneLine(spoiled(random, random.pick(commandLines)))),
    'resume -a',
  ],
};

/** @param {number | string} seed @param {number} index @param {string} parent @returns {Case} */
export function textCase(seed, index, parent) {
  const random = new Random(seed, 'text', index);
  const kind = random.pick(Object.keys(kinds));
  const name = `text-${index}`;
  const folder = path.join(parent, name);
  mkdirSync(folder);
  const lines = kinds[kind]?.(random, folder, name) ?? [];
  return { name, about: kind, lines: [...lines.filter((line) => !ENDING.test(line)), 'close'] };
}
