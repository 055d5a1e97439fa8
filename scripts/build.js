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

/** The driver that most runs load. */
const QCOW2 = path.join(root, 'src/drivers/qcow2/driver.ts');

/**
 * The modules without which one cannot be loaded, itself included.
 *
 * @param {string} module @param {import('rolldown').ChunkingContext} context
 */
function neededBy(module, context) {
  const needed = new Set([module]);
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
    // What every start needs is one file, and what a start with a qcow2 image needs is another one.
    codeSplitting: {
      groups: [
        { name: 'main', tags: ['$initial'], priority: 1 },
        { debugName: 'qcow2', name: (id, context) => (neededBy(QCOW2, context).has(id) ? 'qcow2' : null) },
      ],
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
