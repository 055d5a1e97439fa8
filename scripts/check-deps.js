/**
 * Checks the direction of imports in `src` by the rules of `.dependency-cruiser.cjs`: `check-deps.js [ROOT]`.
 *
 * It also fails if it saw fewer modules than there are files: a cruiser without a parser for TypeScript sees none and is
 * content.
 */
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise } from 'dependency-cruiser';

const home = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const root = path.resolve(process.argv[2] ?? home);
/** @type {import('dependency-cruiser').IConfiguration} */
const { forbidden, options } = createRequire(import.meta.url)('../.dependency-cruiser.cjs');

process.chdir(root);
const { output } = await cruise(['src'], {
  ...options,
  baseDir: root,
  ruleSet: { forbidden: forbidden ?? [] },
  validate: true,
});
if (typeof output === 'string') throw new Error('dependency-cruiser answered with text');

const seen = output.modules.filter((module) => module.source.startsWith('src/') && module.coreModule !== true).length;
const there = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts')).length;
const complaints = output.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} imports ${to}`);
if (seen < there || seen <= 20) complaints.push(`only ${seen} modules seen of ${there} files: is @swc/core installed?`);

for (const complaint of complaints) console.error(complaint);
console.log(`${seen} modules, ${output.summary.totalDependenciesCruised} imports, ${complaints.length} violations`);
process.exitCode = complaints.length === 0 ? 0 : 1;
