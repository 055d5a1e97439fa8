/**
 * Completes package-lock.json after `npm install`: a registry that has only the packages of some platforms leaves the
 * others out, and then `npm ci` refuses the lock file everywhere. Adds an entry for each optional package that is
 * missing, for the platform that its name says.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const file = path.join(path.dirname(path.dirname(fileURLToPath(import.meta.url))), 'package-lock.json');
const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32'];
const processors = ['arm64', 'arm', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64', 'wasm32'];

/** The platform that the name of a package tells. @param {string} name */
function platformOf(name) {
  const words = name.split(/[-/]/);
  const os = systems.filter((system) => words.includes(system));
  const cpu = processors.filter((processor) => words.includes(processor));
  if (os.length === 0 && words.includes('wasi')) return { cpu: ['wasm32'] };
  if (os.length !== 1 || cpu.length !== 1) throw new Error(`${name}: for which platform?`);
  const libc = words.includes('musl') ? ['musl'] : words.includes('gnu') ? ['glibc'] : undefined;
  return { os, cpu, ...(libc && os[0] === 'linux' ? { libc } : {}) };
}

const lock = JSON.parse(readFileSync(file, 'utf8'));
let added = 0;
for (const [, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const entry = `node_modules/${name}`;
    if (entry in lock.packages) continue;
    if (!/^\d/.test(version)) throw new Error(`${name}: ${version} is no exact version`);
    lock.packages[entry] = { version, ...(dev === true ? { dev } : {}), optional: true, ...platformOf(name) };
    added++;
  }
}
// The root's own entry has the empty name, and so stays first.
lock.packages = Object.fromEntries(Object.entries(lock.packages).toSorted(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`${added} packages of other platforms added`);
