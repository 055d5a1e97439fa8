/** Texts that are nearly right: words changed, lost, doubled, swapped; bytes of no meaning. */

/** @typedef {import('./random.js').Random} Random */

const numbers = [
  '0',
  '-1',
  '1',
  '511',
  '512',
  '4095',
  '4k',
  '1M',
  '0x200',
  '1.5k',
  '1e3',
  '9223372036854775807',
  '9223372036854775808',
  '18446744073709551615',
  '18446744073709551616',
  '-9223372036854775808',
  '8E',
  '16E',
  '7.9E',
  '1e400',
  '-0',
  '0x',
  '4294967296',
  '2147483648',
  '4503599627370496',
  '1k1',
  'nan',
  'inf',
  '',
  '00000000000000000000000001',
  '0b1',
  '.5',
  '5.',
  '1T',
  '0.0001k',
];
const scraps = [
  '"',
  "'",
  '\\',
  '{',
  '}',
  '[',
  ']',
  ':',
  ',',
  '=',
  '.',
  '..',
  '%s',
  '%n',
  '\0',
  '\t',
  '\r',
  '\x7f',
  '\xff\xfe',
  '\xc3\xa9',
  '\xe2\x82',
  '\\u0000',
  '\\ud800',
  '#',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '0',
  'null',
  'true',
  'on',
  'driver',
  'file',
  '-',
  '--',
  '-P',
  'json:',
  'blkdebug:',
  '://',
  '$(',
  '*',
  '~',
  ';',
  '\x1b[2J',
];

/** @param {string} text @param {Random} random */
export function mutated(text, random) {
  let result = text;
  for (let count = random.pick([0, 1, 1, 1, 2, 2, 3, 6]); count > 0; count--) result = mutateOnce(result, random);
  return result;
}

/** @param {string} text @param {Random} random @returns {string} */
function mutateOnce(text, random) {
  const at = random.below(text.length + 1);
  const end = Math.min(text.length, at + random.pick([1, 1, 2, 5, 20]));
  const [head, cut, tail] = [text.slice(0, at), text.slice(at, end), text.slice(end)];
  return random.pick([
    () => head + tail,
    () => head + random.pick(scraps) + tail,
    () => head + random.pick(scraps) + cut + tail,
    () => head + cut + cut + tail,
    () => head + cut.repeat(random.pick([2, 10, 100, 1100])) + tail,
    () => head + random.bytes(random.between(1, 8)).toString('latin1') + tail,
    () => head + String.fromCharCode((cut.charCodeAt(0) || 0) ^ (1 << random.below(8))) + cut.slice(1) + tail,
    () => tail + cut + head,
    () => head,
    () => replaceWord(text, random, /[\w.+-]+/g, random.pick(numbers)),
    () => replaceWord(text, random, /\d+/g, random.pick(numbers)),
    () => replaceWord(text, random, /\d+/g, random.pick(numbers)),
    () => replaceWord(text, random, /[\w.-]+/g, random.pick(scraps)),
    () => swapWords(text, random),
  ])();
}

/** @param {string} text @param {Random} random @param {RegExp} words @param {string} by */
function replaceWord(text, random, words, by) {
  const all = [...text.matchAll(words)];
  if (all.length === 0) return text + by;
  const { index, 0: word } = random.pick(all);
  return text.slice(0, index) + by + text.slice(index + word.length);
}

/** @param {string} text @param {Random} random */
function swapWords(text, random) {
  const words = text.split(/([\s,.:="]+)/);
  const [one, other] = [random.below(words.length), random.below(words.length)];
  [words[one], words[other]] = [words[other] ?? '', words[one] ?? ''];
  return words.join('');
}

/** Whether a text could do harm by chance: reach other folders, ask for gigabytes, wait, kill. @param {string} text */
export function harmless(text) {
  return text
    .replaceAll(/(?<!:\/?)\//g, '_')
    .replaceAll(/latency-ns|sigraise|sleep|abort/gi, 'x')
    .replaceAll(/full|falloc|metadata/g, (mode) => (/\d{8}|\d[gtpe]|0x|e\d/i.test(text) ? 'off' : mode))
    .replaceAll(/(?<![\w.])(?:0x[\da-f]+|\d+(?:\.\d+)?(?:e\d+)?)[bkmgtpe]?/gi, (number) =>
      isLarge(number) ? '65536' : number,
    );
}

/** More than a request should have, and less than what every request is refused for. @param {string} text */
function isLarge(text) {
  const match = /^(0x[\da-f]+|[\d.]+(?:e\d+)?)([kmgtpe]?)$/i.exec(text);
  if (match === null) return false;
  const power = 'kmgtpe'.indexOf((match[2] ?? '').toLowerCase()) + 1;
  const bytes = Number(match[1]) * (match[2] === '' ? 1 : 1024 ** power);
  return bytes > 2 ** 22 && bytes <= 2 ** 31;
}
