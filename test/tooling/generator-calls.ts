/**
 * Calls of generators that do nothing: `yield f()` in the place of `yield* f()`, and `f();` alone.
 *
 * Neither a type nor a rule of the linter tells them: what a generator yields may be anything. Names are looked at, one
 * file after the other: generators that the file declares or imports, and those of its classes where `this` has them.
 */
import path from 'node:path';

/** The text of the source files, by their path. */
export type Sources = ReadonlyMap<string, string>;

const declaration = /^(?:export )?(?:async )?function\* (\w+)/gm;
const method = /^ {2}(?:(?:private|protected|public|static) )*\*(#?\w+)\(/gm;
const imported = /^import (?!type )\{([^}]*)\} from '(\.[^']*)'/gm;

function declaredIn(text: string): string[] {
  return [...text.matchAll(declaration)].map(([, name = '']) => name);
}

function importedBy(file: string, text: string, sources: Sources): string[] {
  return [...text.matchAll(imported)].flatMap(([, names = '', from = '']) => {
    const declared = new Set(declaredIn(sources.get(path.join(path.dirname(file), from)) ?? ''));
    return names
      .split(',')
      .map((name) => name.trim().split(' as '))
      .filter(([name = '']) => declared.has(name))
      .map(([name = '', alias = name]) => alias);
  });
}

/** "FILE:LINE: …" for each call that runs nothing. */
export function uselessCalls(sources: Sources): string[] {
  const complaints: string[] = [];
  for (const [file, text] of sources) {
    const functions = [...declaredIn(text), ...importedBy(file, text, sources)];
    const methods = [...text.matchAll(method)].map(([, name = '']) => `this.${name}`);
    const names = [...functions, ...methods].map((name) => name.replace('.', '\\.'));
    if (names.length === 0) continue;
    const call = new RegExp(`(?:\\byield |^ +)(${names.join('|')})\\(`, 'g');
    for (const [index, line] of text.split('\n').entries()) {
      for (const [, name] of line.matchAll(call)) {
        if (!isOpenArgument(text, index)) complaints.push(`${file}:${index + 1}: ${name} is called and not run`);
      }
    }
  }
  return complaints;
}

/** Whether the line stands inside of an expression that an earlier line has begun: then the call is an operand. */
function isOpenArgument(text: string, index: number): boolean {
  const before = text.split('\n')[index - 1]?.trimEnd() ?? '';
  return /(?:[(,?:=]|=>|yield\*|&&|\|\|)$/.test(before) || /^\s*[?:]/.test(text.split('\n')[index] ?? '');
}
