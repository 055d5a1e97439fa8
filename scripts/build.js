/**
 * Builds the program: checks the types, and bundles `src/cli/main.ts` into `dist/cli/`.
 *
 * `--bundle` leaves the type check out; `--readable` leaves the code as it was written. What is imported with
 * `import()` becomes a chunk of its own, loaded on first need. CommonJS, as it starts in half the time that ES modules
 * take.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const dist = path.join(root, 'dist');
const isReadable = process.argv.includes('--readable');

/**
 * The files of many modules, each with those that it begins with. A module is in the first file that needs it; what no
 * file needs is in files of its own.
 */
const chunks = {
  // Every start; the others are small, and keep a client that watches, or a command, from loading a file below.
  main: ['cli/main.ts', 'block/debug/rules.ts', 'util/compact.ts'],
  // The first image, whatever its format; the others are small, and needed by two of the files below.
  image: [
    'shell/image-lifecycle.ts',
    'drivers/file/driver.ts',
    'drivers/raw/driver.ts',
    'block/request/filter.ts',
    'util/big-endian.ts',
  ],
  // A node with rules, with the detector that stands beside it.
  blkdebug: ['drivers/blkdebug/driver.ts', 'block/hazards/image-hazards.ts', 'block/hazards/raw-watch.ts'],
  qcow2: ['drivers/qcow2/driver.ts'],
};

/**
 * The modules without which `modules` cannot be loaded, themselves included.
 *
 * @param {readonly string[]} modules @param {import('rolldown').ChunkingContext} context
 */
function neededBy(modules, context) {
  const needed = new Set(modules.map((module) => path.join(root, 'src', module)));
  for (const id of needed) for (const imported of context.getModuleInfo(id)?.importedIds ?? []) needed.add(imported);
  return needed;
}

async function bundle() {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const build = await rolldown({
    cwd: root,
    input: { main: 'src/cli/main.ts' },
    platform: 'node',
    external: ['koffi'],
    tsconfig: 'tsconfig.json',
    transform: { define: { __BLKSCOPE_VERSION__: JSON.stringify(version) } },
  });
  // Written beside the old build and then put in its place, so that no program sees half of one.
  const fresh = path.join(dist, `new-${process.pid}`);
  const stale = path.join(dist, `old-${process.pid}`);
  await build.write({
    dir: fresh,
    format: 'cjs',
    dynamicImportInCjs: false,
    // A file with a single other character is read, kept and parsed at two bytes a character.
    charset: 'ascii',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    // A file more to load takes longer than some kilobytes more to read.
    codeSplitting: {
      groups: Object.entries(chunks).map(([name, modules], index, { length }) => ({
        debugName: name,
        name: (id, context) => (neededBy(modules, context).has(id) ? name : null),
        priority: length - index,
      })),
    },
    sourcemap: true,
    // Shorter, so that less is read. Profiles are better made of a readable build.
    minify: isReadable ? 'dce-only' : true,
  });
  await build.close();
  writeFileSync(path.join(fresh, 'package.json'), '{ "type": "commonjs" }\n');
  mkdirSync(dist, { recursive: true });
  const current = path.join(dist, 'cli');
  try {
    renameSync(current, stale);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ENOENT') throw error;
  }
  renameSync(fresh, current);
  rmSync(stale, { recursive: true, force: true });
}

/** Has the program write its manual page and the shells' completions, for the package. */
function writeDocuments() {
  const made = (/** @type {string[]} */ ...words) =>
    execFileSync(process.execPath, [path.join(root, 'bin/blkscope.js'), ...words]);
  const files = { 'man/blkscope.1': made('manual') };
  for (const [shell, name] of Object.entries({ bash: 'blkscope.bash', zsh: '_blkscope', fish: 'blkscope.fish' }))
    Object.assign(files, { [`completions/${name}`]: made('completion', shell) });
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(dist, name)), { recursive: true });
    writeFileSync(path.join(dist, name), content);
  }
}

/** The exit status of the type check. @returns {Promise<number>} */
function checkTypes() {
  const compiler = path.join(root, 'node_modules/typescript/bin/tsc');
  const child = spawn(process.execPath, [compiler, '--noEmit'], { cwd: root, stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve(status ?? 1));
  });
}

const types = process.argv.includes('--bundle') ? 0 : checkTypes();
await bundle();
writeDocuments();
process.exitCode = await types;
