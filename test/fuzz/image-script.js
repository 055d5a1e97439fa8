/** The ordinary use of an image: a command that opens it, and commands of every kind over its length. */

/** @typedef {import('./random.js').Random} Random */

const options = [
  'lazy-refcounts=on',
  'overlap-check=all',
  'overlap-check=none',
  'overlap-check.inactive-l2=on',
  'l2-cache-size=65536,l2-cache-entry-size=512',
  'l2-cache-size=0',
  'refcount-cache-size=0',
  'cache-clean-interval=0',
  'pass-discard-other=on',
  'detect-zeroes=on',
  'detect-zeroes=unmap,discard=unmap',
];

/** @param {Random} random @param {boolean} isReadOnly */
export function openCommand(random, isReadOnly) {
  const words = ['open'];
  if (isReadOnly) words.push('-r');
  else if (random.chance(4)) words.push('-s');
  if (!isReadOnly && random.chance(5)) words.push('-C');
  if (random.chance(20)) words.push('-d', 'unmap');
  if (random.chance(10)) words.push('-t', random.pick(['writethrough', 'unsafe', 'none', 'directsync']));
  const chosen = random.chance(90) ? ['driver=qcow2'] : [];
  if (chosen.length > 0 && random.chance(35)) chosen.push(random.pick(options));
  if (chosen.length > 0 && random.chance(12)) {
    words.push('-o', [...chosen, 'file.driver=blkdebug', 'file.image.filename=disk.img'].join(','));
    return words.join(' ');
  }
  if (chosen.length > 0) words.push('-o', chosen.join(','));
  return [...words, 'disk.img'].join(' ');
}

/** @param {Random} random @param {number} lengthBytes @param {number} clusterBytes */
export function imageCommands(random, lengthBytes, clusterBytes) {
  const most = Math.max(512, Math.min(lengthBytes, 2 ** 44));
  const place = () => {
    const cluster = random.below(Math.min(14, Math.ceil(most / clusterBytes))) * clusterBytes;
    return random.pick([
      () => cluster,
      () => cluster,
      () => cluster + random.below(clusterBytes),
      () => random.below(most),
      () => Math.max(0, most - random.between(1, 2 * clusterBytes)),
    ])();
  };
  const bytes = () =>
    random.pick([512, 4096, clusterBytes, clusterBytes, 3 * clusterBytes, random.between(1, 70_000), 2 ** 20]);
  const sectors = () => `${Math.floor(place() / 512) * 512} ${Math.ceil(bytes() / 512) * 512}`;
  const cluster = () => `${Math.floor(place() / clusterBytes) * clusterBytes} ${clusterBytes}`;
  // Cutting off a part makes the L2 tables of all of it first, in QEMU as here: not of terabytes.
  const shorter = () => (most <= 2 ** 30 ? random.pick([place(), 0, most]) : most);
  const kinds = [
    () => `read ${place()} ${bytes()}`,
    () => `read ${sectors()}`,
    () => `read -P 0x11 ${sectors()}`,
    () => `readv -v ${place()} 512 33`,
    () => `aio_read ${sectors()}`,
    () => `write -P ${random.below(256)} ${place()} ${bytes()}`,
    () => `write -P ${random.below(256)} ${sectors()}`,
    () => `write -f ${sectors()}`,
    () => `writev ${place()} 512 1024 5`,
    () => `write -z ${sectors()}`,
    () => `write -z -u ${sectors()}`,
    () => `write -z -n ${sectors()}`,
    () => `write -c ${cluster()}`,
    () => `write -b ${random.below(64) * 512} 512`,
    () => `read -b ${random.below(64) * 512} 512`,
    () => `aio_write -P ${random.below(256)} ${sectors()}`,
    () => `aio_write -z ${sectors()}`,
    () => `discard ${sectors()}`,
    () => `discard ${cluster()}`,
    () => `aio_discard ${cluster()}`,
    () => `truncate ${random.pick([shorter(), shorter(), most + bytes(), most + 40 * clusterBytes, lengthBytes])}`,
    () =>
      `truncate -m ${random.pick(most <= 2 ** 30 ? ['metadata', 'falloc', 'full'] : ['metadata', 'off', 'off'])} ${Math.max(shorter(), most) + clusterBytes}`,
    () => 'flush',
    () => 'aio_flush',
    () => 'info',
    () => 'map',
    () => 'length',
    () => `alloc ${place()} ${random.pick([bytes(), most])}`,
    () => `reopen -o ${random.pick(options)}`,
    () => random.pick(['reopen -r', 'reopen -w', 'reopen']),
  ];
  const looks = [
    () => `where ${place()}`,
    () => `who ${place()} ${bytes()}`,
    () => `dump ${random.pick(['header', 'l1', 'snapshots', 'bitmaps'])}`,
    () => `dump l2 ${place()} ${bytes()}`,
    () => `dump refcounts 0 ${bytes()}`,
    () => `map -v ${place()} ${bytes()}`,
    () => random.pick(['check', 'check -d', 'check -j', 'check -r leaks', 'check -r all']),
    () => random.pick(['diff', 'diff', 'diff -m', 'diff -o']),
    () => `snapshot ${random.pick(['-l', '-c a', '-a a', '-a 1', '-d a', '-d b', '-j'])}`,
    () => random.pick(['info -j', 'nodes -j']),
    () => `poke ${place()} ${random.pick(['00', 'ff', '8000000000050000', '0000000000000001'])}`,
  ];
  const work = Array.from({ length: random.between(6, 18) }, () => random.pick(kinds)());
  // Behind the others, so that older finds are made as before.
  const looking = Array.from({ length: random.below(6) }, () => random.pick(looks)());
  return [...work, ...looking, ...(looking.length > 3 ? [random.pick(kinds)(), looking[0] ?? ''] : [])];
}
