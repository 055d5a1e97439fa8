/** The tree keeps the rules of style that no linter knows, and the check of them bites. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import * as tidy from './tidy.ts';

const root = path.resolve(import.meta.dirname, '../..');

/** Folders whose comments keep the rules. */
const tidyFolders = ['bin', 'scripts', 'src', 'test'];

/** Longer files, each with the reason why it is one. */
const longFiles: Readonly<Record<string, string>> = {
  'src/block/events/guide.ts': 'a table: 48 events, each with what help says of it',
  'src/cli/terminal.ts': 'one class: the prompt over the line editor of Node',
};

/** Files that comments name and the tree does not have: the build makes the first, the others are QEMU's and NBD's. */
const otherFiles = ['dist/cli/main.js', 'qapi/block-core.json', 'doc/proto.md'];

/** Longer in tests: a table of cases reads well. */
const TEST_LINES_MAX = 500;

/** Names that several files of these floors may have, since all of them mean the same; on other floors none may. */
const sharedNames: Readonly<Record<string, string>> = {
  'driver.ts': 'the driver of the folder',
  'name.ts': 'how a driver that is loaded on need is found',
  'options.ts': 'the options of a driver, and what they are made of in block',
  'state.ts': 'the state of what its folder is about',
  // An operation, in the pipeline and in the drivers that do something of their own for it.
  ...Object.fromEntries(
    ['open', 'reopen', 'probe', 'read', 'write', 'zero', 'discard', 'truncate', 'status', 'check']
      .concat('filename', 'limits', 'permissions', 'locks')
      .map((name) => [`${name}.ts`, 'one operation, on several floors']),
  ),
};

/** The files that may share these names: the layer, and the drivers, which do its work on images and on the host. */
const mayShareName = (file: string): boolean => /^src\/(block|drivers|sys)\//.test(file);

const read = (file: string) => readFileSync(path.join(root, file), 'utf8');

/** Files below a folder whose names end so. */
function filesIn(folder: string, ending: RegExp): string[] {
  return readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => path.join(folder, name))
    .filter((name) => ending.test(name))
    .sort();
}

const sources = ['bin', 'src', 'scripts', 'test'].flatMap((folder) => filesIn(folder, /\.(ts|js|cjs)$/));
const tidySources = sources.filter((file) => tidyFolders.some((folder) => file.startsWith(`${folder}/`)));

describe('the tree', () => {
  it('is looked at', () => expect(sources.length).toBeGreaterThan(400));

  it.each(tidyFolders)('has in %s only comments that keep the rules', (folder) => {
    const files = tidySources.filter((file) => file.startsWith(`${folder}/`));
    expect(files.flatMap((file) => tidy.commentComplaints(file, read(file)))).toEqual([]);
  });

  it('has an opening sentence in each file', () => {
    expect(tidySources.flatMap((file) => tidy.openingComplaints(file, read(file)))).toEqual([]);
  });

  it('has no file that is longer than it may be', () => {
    const complaints = sources.flatMap((file) => {
      const limit = longFiles[file] === undefined ? tidy.LINES_MAX : Infinity;
      return tidy.lengthComplaints(file, read(file), file.startsWith('src/') ? limit : TEST_LINES_MAX);
    });
    expect(complaints).toEqual([]);
  });

  it('has no exception for a file that needs none', () => {
    const needless = Object.keys(longFiles).filter((file) => tidy.lengthComplaints(file, read(file)).length === 0);
    expect(needless).toEqual([]);
  });

  describe('of names in src', () => {
    // A command's file has the name of the command.
    const files = sources.filter((file) => file.startsWith('src/') && !file.startsWith('src/shell/commands/'));

    it('has no two files of one name that mean different things', () => {
      const isAllowed = (name: string, same: readonly string[]) =>
        name === 'index.ts' || (sharedNames[name] !== undefined && same.every(mayShareName));
      expect(tidy.nameComplaints(files, isAllowed)).toEqual([]);
    });

    it('allows none that only one file has', () => {
      const counts = Object.keys(sharedNames).map(
        (name) => files.filter((file) => path.basename(file) === name).length,
      );
      expect(Math.min(...counts)).toBeGreaterThan(1);
    });
  });

  it('names in comments only files that are there', () => {
    const known = ['bin', 'src', 'scripts', 'test', '.github'].flatMap((folder) => filesIn(folder, /\.\w+$/));
    const files = new Set([...known, ...otherFiles, 'README.md', 'package.json']);
    expect(tidySources.flatMap((file) => tidy.pathComplaints(file, read(file), files))).toEqual([]);
  });

  it('names in comments only what the code has', () => {
    const known = new Set(sources.flatMap((file) => tidy.codeWords(read(file))));
    expect(tidySources.flatMap((file) => tidy.codeNameComplaints(file, read(file), known))).toEqual([]);
  });

  it('names each file that is no module in another one', () => {
    const others = ['test', 'scripts', '.github'].flatMap((folder) => filesIn(folder, /\.(?!ts$|js$)\w+$/));
    const texts = [...sources, ...filesIn('.github', /\.md$/), 'README.md', 'src/README.md', '.knip.json'].map(read);
    // Read by the folder: what names the extension names them all.
    const cases = /\.(case|events|golden)$/;
    const dead = others.filter((file) => {
      const name = cases.test(file) ? path.extname(file) : path.basename(file);
      return !texts.some((text) => text.includes(name) || text.includes(path.parse(name).name));
    });
    expect(dead).toEqual([]);
  });
});

describe('documents', () => {
  const documents = ['README.md', 'src/README.md', ...filesIn('.github', /\.md$/)];

  it.each(documents)('%s names no persons in place of code', (file) => {
    expect(tidy.wordComplaints(file, read(file))).toEqual([]);
  });

  it.each(documents)('%s links to files that are there', (file) => {
    const links = [...read(file).matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)].map((match) => match[1] ?? '');
    const missing = links.filter((link) => !isThere(path.join(path.dirname(file), link)));
    expect(missing).toEqual([]);
  });
});

function isThere(file: string): boolean {
  try {
    return read(file) !== undefined;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EISDIR';
  }
}

describe('the check', () => {
  const wide = 'x'.repeat(120);

  it.each([
    ['a wide line', `// ${wide}\n`, 'a comment of 123 columns'],
    ['a wide line of a block', `/**\n * ${wide}\n */\n`, 'a comment of 123 columns'],
    ['a wide comment behind code', `const a = 1; // ${wide}\n`, 'a comment of 136 columns'],
    ['a person', '  // Nobody waits for it.\n', '"Nobody"'],
    ['a person in a block', '/**\n * A sentence.\n *\n * Whoever calls.\n */\n', '"Whoever"'],
    ['a question for a person', '// Requests in flight, and who waits for which.\n', '"who"'],
    ['a person that relates to code', '// It is for those who wait.\n', '"who"'],
    ['a beginning', '/** What a request does. */\n', 'begins with "What"'],
    ['a beginning on the second line', '/**\n * The same for reads.\n */\n', 'begins with "The same"'],
    ['a beginning with a name', '/** As `read`, for writes. */\n', 'begins with "As `"'],
    ['a figure of speed', '// A twentieth of the time of a short command.\n', 'a figure of speed'],
    ['a figure in words', '// Spreading it takes four times as long.\n', 'a figure of speed'],
    ['a figure without a number', '// This is an order of magnitude faster.\n', 'a figure of speed'],
    [
      'a figure in percent',
      '// Written by hand: 4 to 6 % less; the loop was 5 % faster before.\n',
      'a figure of speed',
    ],
    ['a figure in units', '// An ES module takes 32 ms to load.\n', 'a figure of speed'],
  ])('finds %s', (_name, text, complaint) => {
    expect(tidy.commentComplaints('file.ts', text)).toEqual([expect.stringContaining(complaint)]);
  });

  it.each([
    ['a user', '// The command `who` is for a user who asks, whose words may be wrong.\n'],
    ['a pause', '// Pauses from one second on, twice as long each time; the rule acts three times.\n'],
    ['a string', `const text = 'nobody // nobody';\n`],
    ['code of any width', `const text = '${wide}${wide}';\n`],
    ['an address', `const link = 'https://example.org/${wide}';\n`],
    ['"what" inside', '/** Says what a request does. */\n'],
    ['the other lines of a block', '/**\n * A sentence about\n * What is not the beginning.\n */\n'],
    ['a figure of the format', '// A refcount block covers 32,768 clusters of 64 KiB; it costs nothing to read one.\n'],
  ])('has nothing against %s', (_name, text) => {
    expect(tidy.commentComplaints('file.ts', text)).toEqual([]);
  });

  it('asks for an opening sentence', () => {
    expect(tidy.openingComplaints('file.ts', `import path from 'node:path';\n`)).toHaveLength(1);
    expect(tidy.openingComplaints('file.ts', '/** types */\nexport {};\n')).toHaveLength(1);
    expect(tidy.openingComplaints('file.ts', '/** A sentence. */\nexport {};\n')).toEqual([]);
    expect(tidy.openingComplaints('file.js', '#!/usr/bin/env node\n/**\n * A sentence.\n */\n')).toEqual([]);
  });

  it('counts lines', () => {
    expect(tidy.lengthComplaints('file.ts', '\n'.repeat(351))).toEqual(['file.ts: 351 lines, more than 350']);
    expect(tidy.lengthComplaints('file.ts', '\n'.repeat(350))).toEqual([]);
  });

  it('knows files that comments name', () => {
    const files = new Set(['src/block/open/reopen.ts', 'src/block/driver.ts', 'test/a.ts']);
    const complaints = (comment: string) => tidy.pathComplaints('src/block/driver.ts', `// ${comment}\n`, files);
    expect(complaints('Made by `block/reopen.ts`, filled by `open.ts`.')).toEqual([
      'src/block/driver.ts:1: there is no block/reopen.ts',
      'src/block/driver.ts:1: there is no open.ts',
    ]);
    expect(complaints('See `block/open/reopen.ts`, open/reopen.ts, `reopen.ts` and test/a.ts.')).toEqual([]);
    expect(complaints('QEMU has it in block/qcow2.c; see https://example.org/block/no.js, dist/x of Node.js')).toEqual(
      [],
    );
    expect(tidy.pathComplaints('src/a.ts', `const name = 'block/no.ts';\n`, files)).toEqual([]);
  });

  it('knows names of the code', () => {
    const text = '/** `readAll`, `strtol` and `a.writeAll()`. */\nconst readAll = 1; // `readSome`\n';
    const known = new Set(tidy.codeWords(text.split('//')[0] ?? ''));
    expect(known).toEqual(new Set(['const', 'readAll']));
    expect(tidy.codeNameComplaints('file.ts', text, known)).toEqual([
      'file.ts:1: there is no writeAll',
      'file.ts:2: there is no readSome',
    ]);
  });

  it('knows files of one name', () => {
    const files = ['src/a/zero.ts', 'src/b/zero.ts', 'src/a/one.ts', 'src/a/index.ts', 'src/b/index.ts'];
    expect(tidy.nameComplaints(files, (name, same) => name === 'index.ts' && same.length === 2)).toEqual([
      'zero.ts: src/a/zero.ts, src/b/zero.ts',
    ]);
  });
});
