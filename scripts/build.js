/**
 * Builds the program: checks the types, and bundles `src/cli/main.ts` into `dist/cli/`.
 *
 * `--bundle` leaves the type check out; `--readable` leaves the code as it was written, and uncompiled. What is imported with `import()` becomes a chunk of its own, loaded on first need.
 * Two things are there for the start-up time alone, measured with Node 20.20 against bare `node -e 0`:
 * - CommonJS: a bundle of 280 KB took 14 to 20 ms, as ES modules 32 to 40 ms;
 * - `bin/blkscope.js` loads `main.js` with the compiled code that the build kept: half of what compiling it takes. The same
 *   goes for what is loaded on need.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import { plainMembers } from './plain-members.js';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const dist = path.join(root, 'dist');
const isReadable = process.argv.includes('--readable');

async function bundle() {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const build = await rolldown({
    cwd: root,
    input: { main: 'src/cli/main.ts' },
    platform: 'node',
    external: ['koffi'],
    tsconfig: 'tsconfig.json',
    plugins: [plainMembers()],
    transform: { define: { __BLKSCOPE_VERSION__: JSON.stringify(version) } },
  });
  // Written beside the old build and then put in its place, so that nobody sees half of one.
  const fresh = path.join(dist, `new-${process.pid}`);
  const stale = path.join(dist, `old-${process.pid}`);
  await build.write({
    dir: fresh,
    format: 'cjs',
    // The kept code is run without Node's loader of ES modules.
    dynamicImportInCjs: false,
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    // What every start needs is one file.
    codeSplitting: { groups: [{ name: 'main', tags: ['$initial'] }] },
    sourcemap: true,
    // Shorter, so that less is read. Profiles are better made of a readable build.
    minify: isReadable ? 'dce-only' : true,
  });
  await build.close();
  writeFileSync(path.join(fresh, 'package.json'), '{ "type": "commonjs" }\n');
  const program = path.join(fresh, 'main.js');
  writeFileSync(program, escapeNonAscii(readFileSync(program, 'utf8')));
  mkdirSync(dist, { recursive: true });
  const current = path.join(dist, 'cli');
  try {
    renameSync(current, stale);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ENOENT') throw error;
  }
  renameSync(fresh, current);
  rmSync(stale, { recursive: true, force: true });
  if (!isReadable) keepCompiledCode();
}

/** V8 reads plain ASCII faster, and keeps it in half the memory. @param {string} code */
function escapeNonAscii(code) {
  return code.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * Runs a few commands, so that V8 has compiled what such a run needs, and keeps that. The first run is for `main.js`, which
 * holds no more than most runs need; the second for the files that it loads besides.
 */
function keepCompiledCode() {
  const folder = mkdtempSync(path.join(tmpdir(), 'blkscope-build-'));
  try {
    const image = path.join(folder, 'image');
    writeFileSync(image, Buffer.alloc(1 << 20));
    const input = ['write -P 1 0 4k', 'read -P 1 0 4k', 'write -P 2 1k 512', 'read -P 2 1k 512'].join('\n');
    const rules = path.join(folder, 'rules.conf');
    writeFileSync(rules, '[inject-error]\nevent = "write_aio"\nstate = "2"\n');
    const env = { ...process.env, BLKSCOPE_KEEP_CODE: '1' };
    for (const words of [[image], ['-s', '--record', path.join(folder, 'run.ndjson'), `blkdebug:${rules}:${image}`]]) {
      // Without the compiled code the program works all the same.
      spawnSync(process.execPath, [path.join(root, 'bin/blkscope.js'), '-f', 'raw', ...words], { env, input });
    }
  } finally {
    rmSync(folder, { recursive: true });
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
process.exitCode = await types;
