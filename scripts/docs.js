/**
 * Writes the parts of `.github/docs` that are made from the sources: commands, options, the command line, events.
 * `npm run docs` writes them, `npm run docs -- --check` fails if they are not up to date.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const ENTRY = 'docs-entry';
const exported = [
  ['commandsOf', 'shell/commands/index.ts'],
  ['newestCompat', 'block/compat.ts'],
  ['isOnlyLater', 'block/compat.ts'],
  ['usageLine', 'shell/command.ts'],
  ['helpText', 'cli/program.ts'],
  ['eventGuide', 'block/events/guide.ts'],
  ['whereFields', 'shell/inspect/show-way.ts'],
  ['whoFields', 'shell/inspect/show-owners.ts'],
  ['mapFields', 'shell/inspect/show-map.ts'],
  ['changeFields', 'shell/inspect/show-changes.ts'],
  ['inspectorOf', 'drivers/qcow2/inspect/inspector.ts'],
];

/**
 * The commands, the usage and the guide to the events, from the sources.
 * @returns {Promise<typeof import('../src/shell/command.ts') & {
 *   commandsOf: typeof import('../src/shell/commands/index.ts').commandsOf,
 *   newestCompat: import('../src/block/compat.ts').Compat,
 *   isOnlyLater: typeof import('../src/block/compat.ts').isOnlyLater,
 *   helpText: (name: string) => string,
 *   eventGuide: Record<string, import('../src/block/events/guide.ts').EventGuide>,
 *   whereFields: readonly import('../src/block/inspect.ts').Field[],
 *   whoFields: readonly import('../src/block/inspect.ts').Field[],
 *   mapFields: readonly import('../src/block/inspect.ts').Field[],
 *   changeFields: readonly import('../src/block/inspect.ts').Field[],
 *   inspectorOf: typeof import('../src/drivers/qcow2/inspect/inspector.ts').inspectorOf }>}
 */
async function loadSources() {
  const build = await rolldown({
    cwd: root,
    input: ENTRY,
    platform: 'node',
    external: ['koffi'],
    plugins: [
      {
        name: 'docs-entry',
        resolveId: (id) => (id === ENTRY ? path.join(root, 'docs-entry.ts') : null),
        load: (id) =>
          id === path.join(root, 'docs-entry.ts')
            ? exported.map(([name, file]) => `export { ${name} } from './src/${file}';`).join('\n')
            : null,
      },
    ],
  });
  const folder = mkdtempSync(path.join(tmpdir(), 'blkscope-docs-'));
  try {
    await build.write({ dir: folder, format: 'esm', entryFileNames: 'docs.mjs' });
    return await import(pathToFileURL(path.join(folder, 'docs.mjs')).href);
  } finally {
    await build.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Text in a cell of a table. @param {string} text */
const cell = (text) => text.replaceAll('|', '\\|');

/**
 * A remark on what a session has only if a later version of QEMU is asked for.
 *
 * @param {{ since?: import('../src/block/compat.ts').Change }} declared
 */
const remarkOn = (declared) => (isOnlyLater(declared) ? ` (with \`--compat ${newestCompat.version}\`)` : '');

/** @param {readonly import('../src/shell/command.ts').Command[]} commands */
function commandSection(commands) {
  const lines = ['| command | what it does |', '| --- | --- |'];
  for (const command of commands) {
    const { aliases = [], oneline } = command;
    const also = aliases.length > 0 ? ` (also ${aliases.map((alias) => `\`${alias}\``).join(', ')})` : '';
    lines.push(
      `| \`${cell((usageLine(command, newestCompat).split(' -- ')[0] ?? '').trim())}\`${also} | ${cell(oneline)}${remarkOn(command)} |`,
    );
  }
  lines.push('', 'Options of the commands:', '');
  for (const command of commands) {
    const options = (command.options?.help(newestCompat) ?? []).map(
      (option) => `\`-${option.letter}\` ${option.help}${remarkOn(option)}`,
    );
    if (options.length > 0) lines.push(`- \`${command.name}\`: ${options.join('; ')}.`);
  }
  return lines.join('\n');
}

/** @param {Record<string, import('../src/block/events/guide.ts').EventGuide>} guide */
function eventSection(guide) {
  const lines = [];
  /** @param {readonly string[]} events */
  const names = (events) => events.map((event) => `\`${event}\``).join(', ');
  for (const [name, { meaning, firedBy, onDisk, before, after }] of Object.entries(guide)) {
    lines.push(`### ${name}`, '', meaning, '', `- Fired by: ${firedBy}`, `- On disk: ${onDisk}`);
    if (before.length > 0) lines.push(`- Comes after: ${names(before)}`);
    if (after.length > 0) lines.push(`- Comes before: ${names(after)}`);
    lines.push('');
  }
  return lines.join('\n').trimEnd();
}

/**
 * The rows of commands that show metadata. No image is needed to know their fields.
 * @param {Record<string, readonly import('../src/block/inspect.ts').Field[]>} listings
 */
function fieldSection(listings) {
  const lines = [];
  for (const [command, fields] of Object.entries(listings)) {
    lines.push(`## ${command}`, '', '| key | column | meaning |', '| --- | --- | --- |');
    for (const { key, title, help, isExact } of fields) {
      lines.push(`| \`${key}\` | ${title}${isExact === true ? ' *(exact)*' : ''} | ${cell(help)} |`);
    }
    lines.push('');
  }
  return lines.join('\n').trimEnd();
}

/**
 * Puts text between the marks of a section.
 * @param {string} document
 * @param {string} name
 * @param {string} text
 */
function replaceSection(document, name, text) {
  const begin = `<!-- ${name}: made by npm run docs -->\n`;
  const end = `<!-- end of ${name} -->`;
  const from = document.indexOf(begin);
  const to = document.indexOf(end);
  if (from < 0 || to < from) throw new Error(`no section ${name}`);
  return `${document.slice(0, from)}${begin}\n${text}\n\n${document.slice(to)}`;
}

const {
  commandsOf,
  newestCompat,
  isOnlyLater,
  usageLine,
  helpText,
  eventGuide,
  whereFields,
  whoFields,
  mapFields,
  changeFields,
  inspectorOf,
} = await loadSources();
const { structures } = inspectorOf(/** @type {never} */ ({}));
/** @type {Record<string, Record<string, string>>} */
const documents = {
  'commands.md': {
    options: `\`\`\`text\n${helpText('blkscope').trimEnd()}\n\`\`\``,
    commands: commandSection(commandsOf(newestCompat).all),
  },
  'events.md': { events: eventSection(eventGuide) },
  'metadata.md': {
    fields: fieldSection({
      where: whereFields,
      who: whoFields,
      'map -v': mapFields,
      diff: changeFields,
      ...Object.fromEntries(structures.map(({ name, fields }) => [`dump ${name}`, fields])),
    }),
  },
};
for (const [name, sections] of Object.entries(documents)) {
  const file = path.join(root, '.github/docs', name);
  const before = readFileSync(file, 'utf8');
  const after = Object.entries(sections).reduce((text, [section, made]) => replaceSection(text, section, made), before);
  if (after === before) continue;
  if (process.argv.includes('--check')) {
    console.error(`${path.relative(root, file)} is not up to date: npm run docs`);
    process.exitCode = 1;
  } else writeFileSync(file, after);
}
