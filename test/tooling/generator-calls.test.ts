/** No generator is called and not run; and the check notices those that are. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { uselessCalls } from './generator-calls.ts';

const root = path.resolve(import.meta.dirname, '../..');

it('runs every generator that it calls', () => {
  const files = readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.join('src', name));
  const sources = new Map(files.map((file) => [file, readFileSync(path.join(root, file), 'utf8')]));
  expect(sources.size).toBeGreaterThan(300);
  expect(uselessCalls(sources)).toEqual([]);
});

it('notices a yield without a star and a call alone, of functions, imports and methods', () => {
  const helper = 'export function* helper(): Steps<void> {}\nexport function plain(): Pending {}\n';
  const user = [
    "import { helper as help, plain } from './helper.ts';",
    'function* local(): Steps<void> {}',
    'class User {',
    '  *#part(): Steps<void> {',
    '    yield help();',
    '    yield* help();',
    '    yield plain();',
    '    yield local();',
    '    yield this.#part();',
    '    local();',
    '    yield* this.#part();',
    '    const later = run(local());',
    '    plain();',
    '  }',
    '}',
  ].join('\n');
  const sources = new Map([
    ['a/helper.ts', helper],
    ['a/user.ts', user],
  ]);
  expect(uselessCalls(sources)).toEqual([
    'a/user.ts:5: help is called and not run',
    'a/user.ts:8: local is called and not run',
    'a/user.ts:9: this.#part is called and not run',
    'a/user.ts:10: local is called and not run',
  ]);
});
