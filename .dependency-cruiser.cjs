/** Who may import whom (see src/README.md). Checked by `npm run check:deps`. */
const folders = {
  util: [],
  sys: ['util'],
  block: ['util'],
  crypto: ['util'],
  // The wire format of NBD is the server's and the client's.
  drivers: ['block', 'crypto', 'sys', 'util', 'nbd/wire'],
  shell: ['block', 'util'],
  // Their drivers come as a table from outside.
  sandbox: ['shell', 'block', 'sys', 'util'],
  search: ['sandbox', 'shell', 'block', 'sys', 'util'],
  live: ['block', 'util'],
  nbd: ['block', 'util'],
};

/**
 * The floors of qcow2, each with those below it that it may import. `format` knows bytes only; `check` and `data` do not
 * know each other; the files beside the folders (driver, open, reopen …) may import all.
 */
const qcow2Floors = {
  format: [],
  tables: ['format'],
  refcounts: ['format', 'tables'],
  bitmaps: ['format', 'tables', 'refcounts'],
  check: ['format', 'tables', 'refcounts', 'bitmaps'],
  data: ['format', 'tables', 'refcounts', 'bitmaps'],
  snapshots: ['format', 'tables', 'refcounts', 'data'],
  create: ['format', 'tables', 'refcounts', 'data'],
  inspect: ['format', 'tables', 'refcounts', 'bitmaps'],
};

/**
 * The floors of block, each with those whose values it may import; types may come from any. `request` knows nodes as types
 * alone: it works on what the graph hands it. The files beside the folders (driver, backend, error …) are not bound.
 * `npm run check:deps` looks at them.
 */
const valueFloors = {
  'src/block': {
    loop: [],
    events: [],
    options: [],
    debug: [],
    hazards: ['debug', 'loop'],
    request: ['loop', 'events'],
    graph: ['loop', 'events', 'options', 'request'],
    open: ['options', 'graph', 'request'],
  },
};

/**
 * Circles of imports of values that are accepted, types apart: two files of a set may import each other, directly or
 * not. An entry that no circle needs any more is a violation too. `npm run check:deps` looks for them.
 */
const valueCircles = [
  // A new refcount block is counted by itself: a true recursion.
  ['src/drivers/qcow2/refcounts/refcounts.ts', 'src/drivers/qcow2/refcounts/grow.ts'],
];

/** @type {import('dependency-cruiser').IConfiguration & import('./scripts/check-deps.js').ValueRules} */
module.exports = {
  valueCircles,
  valueFloors,
  forbidden: [
    ...Object.entries(folders).map(([folder, allowed]) => ({
      name: `${folder}-imports-only`,
      comment: `src/${folder} may import ${allowed.length > 0 ? allowed.map((name) => `src/${name}`).join(', ') : 'nothing'}`,
      severity: 'error',
      from: { path: `^src/${folder}/` },
      to: { path: '^src/', pathNot: `^src/(${[folder, ...allowed].join('|')})(/|\\.ts$)` },
    })),
    ...Object.entries(qcow2Floors).map(([floor, below]) => ({
      name: `qcow2-${floor}-imports-only`,
      comment: `src/drivers/qcow2/${floor} may import ${below.length > 0 ? below.join(', ') : 'nothing'} of qcow2`,
      severity: 'error',
      from: { path: `^src/drivers/qcow2/${floor}/` },
      to: { path: '^src/drivers/qcow2/', pathNot: `^src/drivers/qcow2/(${[floor, ...below].join('|')})/` },
    })),
    {
      name: 'no-sibling-driver',
      comment: 'a driver opens its children through block/open; only the table in index.ts knows them all',
      severity: 'error',
      from: { path: '^src/drivers/(?!index\\.ts$)([^/.]+)' },
      to: { path: '^src/drivers/', pathNot: '^src/drivers/$1(/|\\.ts$)' },
    },
    {
      name: 'koffi-in-sys',
      comment: 'the host is called from src/sys alone',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/sys/' },
      to: { path: 'koffi' },
    },
    {
      name: 'no-package-in-util-and-block',
      comment: 'util and block are plain TypeScript',
      severity: 'error',
      from: { path: '^src/(util|block)/' },
      to: { dependencyTypes: ['npm', 'npm-dev', 'npm-optional', 'npm-peer'] },
    },
    {
      name: 'no-development-package',
      comment: 'what src imports must be in "dependencies"',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'], pathNot: '/@types/' },
    },
    { name: 'resolvable', comment: 'an import of nothing', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // TypeScript 7 has no parser that dependency-cruiser knows; without swc it would see no module at all.
    parser: 'swc',
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
