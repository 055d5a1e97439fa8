/**
 * Writes the parts of README.md that are made from the sources: the commands, their options and the command line.
 * `npm run docs` writes them, `npm run docs -- --check` fails if they are not up to date.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { rolldown } from 'rolldown';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const ENTRY = 'docs-entry';

/**
 * The command table and the usage, from the sources.
 * @returns {Promise<{ commandTable: import('../src/shell/command.ts').CommandTable,
 *   usageText: (isTerminal: boolean) => string }>}
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
            ? `export { commandTable } from './src/shell/commands/index.ts'; export { usageText } from './src/cli/usage.ts';`
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

/** @param {readonly import('../src/shell/command.ts').Command[]} commands */
function commandSection(commands) {
  const lines = ['| command | what it does |', '| --- | --- |'];
  for (const { name, aliases = [], args = '', oneline } of commands) {
    const also = aliases.length > 0 ? ` (also ${aliases.map((alias) => `\`${alias}\``).join(', ')})` : '';
    lines.push(`| \`${cell(`${name} ${args}`.trim())}\`${also} | ${cell(oneline)} |`);
  }
  lines.push('', 'Options of the commands:', '');
  for (const { name, optionHelp } of commands) {
    const options = Object.entries(optionHelp ?? {});
    if (options.length > 0)
      lines.push(`- \`${name}\`: ${options.map(([letter, text]) => `\`-${letter}\` ${text}`).join('; ')}.`);
  }
  return lines.join('\n');
}

/** Puts text between the marks of a section. @param {string} readme @param {string} name @param {string} text */
function replaceSection(readme, name, text) {
  const begin = `<!-- ${name}: made by npm run docs -->\n`;
  const end = `<!-- end of ${name} -->`;
  const from = readme.indexOf(begin);
  const to = readme.indexOf(end);
  if (from < 0 || to < from) throw new Error(`README.md has no section ${name}`);
  return `${readme.slice(0, from)}${begin}\n${text}\n\n${readme.slice(to)}`;
}

const { commandTable, usageText } = await loadSources();
const file = path.join(root, 'README.md');
const before = readFileSync(file, 'utf8');
let after = replaceSection(before, 'commands', commandSection(commandTable.all));
after = replaceSection(after, 'options', `\`\`\`text\n${usageText(true).trimEnd()}\n\`\`\``);
if (process.argv.includes('--check')) {
  if (after !== before) console.error('README.md is not up to date: npm run docs');
  process.exitCode = after === before ? 0 : 1;
} else if (after !== before) writeFileSync(file, after);
