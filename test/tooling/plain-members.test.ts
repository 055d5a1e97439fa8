/** The build turns private members into ordinary ones, and only those. */
import { describe, expect, it } from 'vitest';
import { refuseClashes, withPlainMembers } from '../../scripts/plain-members.js';

/** The text of a module as the build takes it in; fails as the build does. */
function built(...modules: string[]): string {
  const classes = new Map();
  const texts = modules.map((code) => withPlainMembers(code, classes));
  refuseClashes(classes);
  return texts.join('\n');
}

describe('private members in the build', () => {
  it('are ordinary ones of the same length', () => {
    const code = "class A { readonly #n: number = 1; #add(by: number) { return this.#n + by; } label = '#n'; } // #n";
    expect(built(code)).toBe(
      "class A { readonly $n: number = 1; $add(by: number) { return this.$n + by; } label = '#n'; } // #n",
    );
  });

  it('may have one name in classes that have nothing to do with each other', () => {
    expect(built('class A { #n = 1; }', 'class B { #n = 2; }')).toBe('class A { $n = 1; }\nclass B { $n = 2; }');
  });

  it('are refused where a class would share one with what it is derived from, also over several steps', () => {
    const modules = ['class C extends B { #n = 3; }', 'class B extends A {}', 'class A { #n = 1; }'];
    expect(() => built(...modules)).toThrow('C and A both have a private member #n');
  });

  it.each([
    ['class A { #n = 1; static has(a: object) { return #n in a; } }', '#n in …'],
    ['const $n = 1;', '$n: names that start with $'],
  ])('%s cannot be built', (code, complaint) => {
    expect(() => built(code)).toThrow(complaint);
  });
});
