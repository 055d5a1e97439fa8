/**
 * Checks the imports of `src` by the rules of `.dependency-cruiser.cjs`: `check-deps.js [ROOT]`.
 *
 * dependency-cruiser looks at directions. It cannot tell an import of types from one of values with swc as its parser,
 * so circles of values, and floors that bind values alone, are looked for here, over the same graph. A cruiser without
 * a parser for TypeScript sees no module and finds nothing wrong: it is a violation if there are fewer modules than
 * files.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from '@swc/core';
import { cruise } from 'dependency-cruiser';

const home = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const root = path.resolve(process.argv[2] ?? home);
/**
 * `valueFloors`: by folder, the folders in it, each with those whose values it may import.
 * @typedef {{ valueCircles: string[][], valueFloors: Record<string, Record<string, string[]>> }} ValueRules
 */

/** @type {import('dependency-cruiser').IConfiguration & ValueRules} */
const { forbidden, options, valueCircles, valueFloors } = createRequire(import.meta.url)('../.dependency-cruiser.cjs');

/** The specifiers that a file imports at least one value from, when it is loaded. @param {string} file */
function valueImports(file) {
  /** @type {Set<string>} */
  const specifiers = new Set();
  for (const item of parseSync(readFileSync(file, 'utf8'), { syntax: 'typescript', target: 'es2022' }).body) {
    if (item.type === 'ImportDeclaration') {
      const areTypes = item.specifiers.every((one) => one.type === 'ImportSpecifier' && one.isTypeOnly);
      if (!item.typeOnly && !(areTypes && item.specifiers.length > 0)) specifiers.add(item.source.value);
    } else if (item.type === 'ExportAllDeclaration') specifiers.add(item.source.value);
    else if (item.type === 'ExportNamedDeclaration' && item.source !== null && item.source !== undefined) {
      // swc's own type of this node leaves out the flag.
      const { typeOnly } = /** @type {{ typeOnly?: boolean }} */ (item);
      if (typeOnly !== true) specifiers.add(item.source.value);
    }
  }
  return specifiers;
}

/**
 * The circles of a graph: its strongly connected components of more than one node (Tarjan), each sorted by name.
 * @param {Map<string, string[]>} graph
 */
function circlesOf(graph) {
  /** @type {string[][]} */
  const circles = [];
  /** @type {string[]} */
  const stack = [];
  /** @type {Map<string, { index: number, low: number, isOnStack: boolean }>} */
  const marks = new Map();
  /** @param {string} node */
  function visit(node) {
    const mark = { index: marks.size, low: marks.size, isOnStack: true };
    marks.set(node, mark);
    stack.push(node);
    for (const next of graph.get(node) ?? []) {
      const known = marks.get(next);
      if (known === undefined) mark.low = Math.min(mark.low, visit(next).low);
      else if (known.isOnStack) mark.low = Math.min(mark.low, known.index);
    }
    if (mark.low === mark.index) {
      const members = stack.splice(stack.indexOf(node));
      for (const member of members) Object.assign(marks.get(member) ?? {}, { isOnStack: false });
      if (members.length > 1) circles.push(members.sort());
    }
    return mark;
  }
  for (const node of graph.keys()) if (!marks.has(node)) visit(node);
  return circles;
}

process.chdir(root);
const { output } = await cruise(['src'], {
  ...options,
  baseDir: root,
  ruleSet: { forbidden: forbidden ?? [] },
  validate: true,
});
if (typeof output === 'string') throw new Error('dependency-cruiser answered with text');

const modules = output.modules.filter((module) => module.source.startsWith('src/') && module.coreModule !== true);
const seen = modules.length;
const there = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts')).length;
const complaints = output.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} imports ${to}`);
if (seen < there || seen <= 20) complaints.push(`only ${seen} modules seen of ${there} files: is @swc/core installed?`);

/** @type {Map<string, string[]>} */
const graph = new Map();
for (const { source, dependencies } of modules) {
  if (!source.endsWith('.ts')) continue;
  const values = valueImports(source);
  const edges = dependencies.filter(({ module, dynamic }) => !dynamic && values.has(module));
  graph.set(
    source,
    edges.map(({ resolved }) => resolved),
  );
}
for (const [folder, floors] of Object.entries(valueFloors)) {
  /** @param {string} file */
  const floorOf = (file) => (file.startsWith(`${folder}/`) ? file.slice(folder.length + 1).split('/')[0] : undefined);
  for (const [source, targets] of graph) {
    const floor = floorOf(source) ?? '';
    const below = floors[floor];
    if (below === undefined) continue;
    for (const target of targets) {
      const other = floorOf(target);
      if (other === undefined || other === floor || floors[other] === undefined || below.includes(other)) continue;
      complaints.push(`${path.basename(folder)}-${floor}-imports-values-only: ${source} imports ${target}`);
    }
  }
}
const circles = circlesOf(graph);
/** @param {string[]} circle @param {string[]} accepted */
const isWithin = (circle, accepted) => circle.every((file) => accepted.includes(file));
for (const circle of circles)
  if (!valueCircles.some((accepted) => isWithin(circle, accepted)))
    complaints.push(`no-circle-of-values: ${circle.join(' ')}`);
for (const accepted of valueCircles)
  if (!circles.some((circle) => isWithin(circle, accepted)))
    complaints.push(`no-circle-of-values: accepted, but there is none: ${accepted.join(' ')}`);

for (const complaint of complaints) console.error(complaint);
console.log(
  `${seen} modules, ${output.summary.totalDependenciesCruised} imports, ${circles.length} circles of values, ${complaints.length} violations`,
);
process.exitCode = complaints.length === 0 ? 0 : 1;
