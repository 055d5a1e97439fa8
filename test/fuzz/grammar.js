/**
 * Valid texts of every kind that the program reads: config files of blkdebug, options, names of images, command lines.
 */

/** @typedef {import('./random.js').Random} Random */

const eventNames = [
  'l1_update',
  'l1_grow_alloc_table',
  'l2_load',
  'l2_update',
  'l2_alloc_write',
  'read_aio',
  'read_backing_aio',
  'read_compressed',
  'write_aio',
  'write_compressed',
  'vmstate_load',
  'cow_read',
  'cow_write',
  'reftable_load',
  'refblock_load',
  'refblock_alloc',
  'cluster_alloc',
  'cluster_free',
  'flush_to_os',
  'flush_to_disk',
  'pwritev',
  'pwritev_rmw_head',
  'pwritev_zero',
  'preadv',
  'none',
  'l1_grow.alloc_table',
  'empty_image_prepare',
  'write_cow_read',
];
const ioTypes = ['read', 'write', 'write-zeroes', 'discard', 'flush', 'block-status'];

/** @param {Random} random @returns {string} */
export function configFile(random) {
  const sections = Array.from({ length: random.between(1, 4) }, (_, index) => {
    const lines = random.chance(70)
      ? [random.chance(20) ? `[inject-error "id${index}"]` : '[inject-error]', ...injectError(random)]
      : ['[set-state]', ...setState(random)];
    return lines.map((line) => line.replace(/^([\w-]+) (.*)$/, '$1 = "$2"')).join('\n');
  });
  return `${random.chance(20) ? '# rules\n' : ''}${sections.join('\n\n')}\n`;
}

/** Keys and values. @param {Random} random */
function injectError(random) {
  const all = [
    `event ${random.pick(eventNames)}`,
    `errno ${random.pick(['5', '28', '0', '2'])}`,
    `state ${random.between(0, 3)}`,
    `sector ${random.below(300)}`,
    `once ${random.pick(['on', 'off'])}`,
    `immediately ${random.pick(['on', 'off'])}`,
    `iotype ${random.pick(ioTypes)}`,
  ];
  return [all[0] ?? '', ...all.slice(1).filter(() => random.chance(40))];
}

/** @param {Random} random */
function setState(random) {
  return [`event ${random.pick(eventNames)}`, `state ${random.between(0, 3)}`, `new_state ${random.between(1, 3)}`];
}

/** Options of a whole image, as keys with dots. @param {Random} random @returns {[key: string, value: string][]} */
function imageOptions(random) {
  /** @type {[string, string][]} */
  const raw = [['driver', 'raw']];
  /** @type {[string, string][]} */
  const top = random.chance(50) ? [['driver', 'qcow2']] : raw;
  const disk = top[0]?.[1] === 'qcow2' ? 'disk.img' : 'plain.img';
  const protocol = random.pick([
    /** @returns {[string, string][]} */ () => [
      ['file.driver', 'file'],
      ['file.filename', disk],
    ],
    /** @returns {[string, string][]} */ () => [['file.filename', disk]],
    /** @returns {[string, string][]} */ () => [
      ['file.driver', 'null-co'],
      ['file.size', '65536'],
      ['file.read-zeroes', 'on'],
    ],
    /** @returns {[string, string][]} */ () => [
      ['file.driver', 'blkdebug'],
      ['file.image.driver', 'file'],
      ['file.image.filename', disk],
      ...blkdebugOptions(random, 'file.'),
    ],
    /** @returns {[string, string][]} */ () => [['file', disk]],
  ])();
  const extra = random.pick([
    ['read-only', 'on'],
    ['auto-read-only', 'on'],
    ['discard', 'unmap'],
    ['detect-zeroes', 'unmap'],
    ['cache.direct', 'off'],
    ['cache.no-flush', 'on'],
    ['force-share', 'on'],
    ['node-name', 'top'],
    ['size', '4096'],
    ['offset', '512'],
    ['backing', ''],
    ['backing.driver', 'null-co'],
    ['backing.file.filename', 'plain.img'],
    ['lazy-refcounts', 'on'],
    ['overlap-check', 'all'],
    ['overlap-check.template', 'constant'],
    ['cache-size', '1M'],
    ['l2-cache-size', '64k'],
    ['l2-cache-entry-size', '512'],
    ['refcount-cache-size', '256k'],
    ['cache-clean-interval', '0'],
    ['pass-discard-request', 'on'],
    ['data-file.filename', 'plain.img'],
    ['encrypt.format', 'aes'],
    ['file.locking', 'off'],
    ['file.aio', 'threads'],
    ['file.x-check-cache-dropped', 'on'],
  ]);
  return random.chance(60) ? [...top, ...protocol, /** @type {[string, string]} */ (extra)] : [...top, ...protocol];
}

/** @param {Random} random @param {string} prefix @returns {[string, string][]} */
function blkdebugOptions(random, prefix) {
  /** @type {[string, string][]} */
  const limits = [
    ['align', '4096'],
    ['max-transfer', '65536'],
    ['opt-write-zero', '4096'],
    ['max-write-zero', '65536'],
    ['opt-discard', '4096'],
    ['max-discard', '65536'],
    ['config', 'rules.conf'],
    ['take-child-perms.0', 'write'],
    ['unshare-child-perms.0', 'resize'],
  ];
  const chosen = limits.filter(() => random.chance(15));
  for (let index = 0; index < random.below(3); index++) {
    const words = random.chance(70) ? injectError(random) : setState(random);
    const group = words.some((word) => word.startsWith('new_state')) ? 'set-state' : 'inject-error';
    for (const word of words)
      chosen.push(
        /** @type {[string, string]} */ ([`${group}.${index}.${word.split(' ')[0]}`, word.split(' ')[1] ?? '']),
      );
  }
  return chosen.map(([key, value]) => [prefix + key, value]);
}

/** @param {Random} random */
export function optionString(random) {
  return imageOptions(random)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}

/** @param {Random} random */
export function jsonName(random) {
  const options = imageOptions(random);
  const value = (/** @type {string} */ text) =>
    /^\d+$/.test(text) && random.chance(70) ? Number(text) : text === 'on' && random.chance(70) ? true : text;
  if (random.chance(40))
    return `json:${JSON.stringify(Object.fromEntries(options.map(([key, text]) => [key, value(text)])))}`;
  /** @type {Record<string, unknown>} */
  const tree = {};
  for (const [key, text] of options) {
    const words = key.split('.');
    let at = tree;
    for (const word of words.slice(0, -1)) {
      if (typeof at[word] !== 'object') at[word] = {};
      at = /** @type {Record<string, unknown>} */ (at[word]);
    }
    at[words.at(-1) ?? ''] = value(text);
  }
  return `json:${JSON.stringify(tree)}`;
}

/** Nesting deeper than any real option. @param {Random} random */
export function deepName(random) {
  const depth = random.pick([10, 100, 600, 1000, 1100, 3000, 20_000]);
  return random.pick([
    () => `json:${'{"file":'.repeat(depth)}{}${'}'.repeat(depth)}`,
    () => `json:${'['.repeat(depth)}`,
    () => `json:${'{"a":['.repeat(depth)}`,
    () =>
      `json:{"driver":"raw",${'"file":{"driver":"raw",'.repeat(depth)}"file":{"driver":"null-co"}${'}'.repeat(depth)}}`,
    () => `${'blkdebug::'.repeat(depth)}plain.img`,
    () => `json:{"driver":"raw","${'file.'.repeat(depth)}driver":"raw"}`,
    () => `json:{"driver":"qcow2","file":"disk.img","${'backing.'.repeat(depth)}driver":"raw"}`,
    () => `json:{"driver":"${'x'.repeat(depth)}"}`,
  ])();
}

/** A command line of the shell. @param {Random} random */
export function commandLine(random) {
  const place = () => random.pick([0, 512, 4096, 65536, 100, random.below(2 ** 20)]);
  const bytes = () => random.pick([512, 4096, 65536, 1, 0, random.below(100_000)]);
  const tag = () => random.pick(['A', 'B', 'C']);
  const event = () => random.pick(eventNames);
  return random.pick([
    () => `read ${random.pick(['', '-v ', '-P 0 ', '-C ', '-q ', '-P 1 -s 2 -l 100 ', '-b '])}${place()} ${bytes()}`,
    () =>
      `write ${random.pick(['', '-P 9 ', '-z ', '-z -u ', '-c ', '-f ', '-q ', '-n -z ', '-s plain.img ', '-b '])}${place()} ${bytes()}`,
    () => `readv ${random.pick(['', '-v ', '-P 0 '])}${place()} 512 ${bytes()} 100`,
    () => `writev ${random.pick(['', '-P 4 '])}${place()} 512 ${bytes()}`,
    () => `aio_read ${random.pick(['', '-P 0 ', '-v '])}${place()} ${bytes()} 512`,
    () => `aio_write ${random.pick(['', '-P 4 ', '-z ', '-f '])}${place()} ${bytes()}`,
    () => `discard ${place()} ${bytes()}`,
    () => `aio_discard ${place()} ${bytes()}`,
    () => `alloc ${place()} ${bytes()}`,
    () => `truncate ${random.pick(['', '-m full ', '-m metadata '])}${place()}`,
    () =>
      random.pick([
        'flush',
        'aio_flush',
        'map',
        'info',
        'length',
        'close',
        'help',
        'quit',
        'reopen',
        'reopen -r',
        'reopen -w',
        'bail on',
      ]),
    () => `reopen -o ${random.pick(['read-only=on', 'lazy-refcounts=on', 'cache.direct=off', 'file.locking=off'])}`,
    () => `help ${random.pick(['read', 'write', 'break', 'rule', 'nothing'])}`,
    () => `break ${event()} ${tag()}`,
    () => `${random.pick(['resume', 'remove_break', 'wait_break', 'cancel'])} ${tag()}`,
    () =>
      random.pick([
        'suspended',
        'suspended -j',
        'requests -j',
        'rules',
        'rules -j',
        'state',
        'state -aj',
        'events -c',
        'events -n 5 l2',
        'live',
      ]),
    () => `state ${random.between(0, 9)}`,
    () =>
      `rule add inject-error ${injectError(random)
        .map((word) => word.replace(' ', '='))
        .join(' ')}`,
    () => `rule add inject-error event=${event()} nth=2 times=3 probability=0.5 offset=0..4096 errno=EIO`,
    () =>
      `rule add set-state ${setState(random)
        .map((word) => word.replace(' ', '='))
        .join(' ')}`,
    () => `rule ${random.pick(['enable', 'disable', 'remove'])} ${random.between(1, 4)}`,
    () => `rule set ${random.between(1, 4)} errno=28 times=1`,
    () => `rule ${random.pick(['save', 'load'])} rules.conf`,
    () => `source ${random.pick(['plain.img', 'commands', 'rules.conf'])}`,
    () => `record ${random.pick(['start run.ndjson', 'start run.json', 'start run.html', 'stop', ''])}`,
    () =>
      `open ${random.pick(['', '-r ', '-s ', '-t none ', '-d unmap ', '-U ', '-C '])}${random.pick(['disk.img', 'plain.img', 'null-co://', 'blkdebug:rules.conf:disk.img'])}`,
    () => `open -o ${optionString(random)}`,
    () => `zone_report ${place()} 1`,
    () => `zone_${random.pick(['open', 'close', 'finish', 'reset', 'append'])} ${place()} ${bytes()}`,
  ])();
}

/** Arguments of the program. @param {Random} random @returns {string[]} */
export function programArguments(random) {
  /** @type {string[]} */
  const words = [];
  for (let count = random.below(4); count > 0; count--) {
    words.push(
      ...random.pick([
        ['-r'],
        ['-s'],
        ['-U'],
        ['-n'],
        ['-k'],
        ['-C'],
        ['-m'],
        ['-t', 'none'],
        ['--cache=unsafe'],
        ['-d', 'unmap'],
        ['-i', 'threads'],
        ['-c', commandLine(random)],
        ['--cmd', commandLine(random)],
        ['--bail'],
        ['-f', 'raw'],
        ['-f', 'qcow2'],
        ['-h'],
        ['-V'],
        ['--object', 'secret,id=s,data=abc'],
        ['--object', 'throttle-group,id=t'],
        ['-T', 'file=x'],
        ['--record', 'run.ndjson'],
        ['--live'],
      ]),
    );
  }
  const name = random.pick([
    () => ['disk.img'],
    () => ['plain.img'],
    () => [jsonName(random)],
    () => ['--image-opts', optionString(random)],
    () => ['blkdebug:rules.conf:disk.img'],
    () => [],
  ])();
  return [...words, ...name];
}
