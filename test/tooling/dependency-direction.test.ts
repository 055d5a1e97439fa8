/** The check of imports bites: violations planted in a copy of the sources are all found and named. */
import { spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { useFolder } from '../helpers/sandbox.ts';

const root = path.resolve(import.meta.dirname, '../..');

/** Runs the check over a tree; one complaint a line. */
function check(tree: string) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(root, 'scripts/check-deps.js'), tree], {
    encoding: 'utf8',
  });
  return { status, stdout, complaints: stderr.split('\n').filter((line) => line !== '') };
}

/** A file that gets a line more, and the complaint about it. */
interface Violation {
  readonly name: string;
  readonly file: string;
  readonly line: string;
  readonly complaint: string;
}

const violations: readonly Violation[] = [
  {
    name: 'an import of values',
    file: 'util/planted-values.ts',
    line: `import { Open } from '../block/flags.ts'; void Open;`,
    complaint: 'util-imports-only: src/util/planted-values.ts imports src/block/flags.ts',
  },
  {
    name: 'an import of types',
    file: 'util/planted-types.ts',
    line: `import type { DebugEvent } from '../block/events/events.ts';`,
    complaint: 'util-imports-only: src/util/planted-types.ts imports src/block/events/events.ts',
  },
  {
    name: 'a dynamic import',
    file: 'block/planted-dynamic.ts',
    line: `void import('../drivers/planted.ts');`,
    complaint: 'block-imports-only: src/block/planted-dynamic.ts imports src/drivers/planted.ts',
  },
  {
    name: 'an export from elsewhere',
    file: 'shell/planted-export.ts',
    line: `export * from '../drivers/planted.ts';`,
    complaint: 'shell-imports-only: src/shell/planted-export.ts imports src/drivers/planted.ts',
  },
  {
    name: 'a file of a sibling driver',
    file: 'drivers/raw/planted.ts',
    line: `export * from '../null/planted.ts';`,
    complaint: 'no-sibling-driver: src/drivers/raw/planted.ts imports src/drivers/null/planted.ts',
  },
  {
    name: 'a sibling driver of one file',
    file: 'drivers/planted-single.ts',
    line: `export * from './null/planted.ts';`,
    complaint: 'no-sibling-driver: src/drivers/planted-single.ts imports src/drivers/null/planted.ts',
  },
  {
    name: 'a lower floor of qcow2 that knows a higher one',
    file: 'drivers/qcow2/format/planted.ts',
    line: `import type { Qcow2Image } from '../tables/image.ts';`,
    complaint:
      'qcow2-format-imports-only: src/drivers/qcow2/format/planted.ts imports src/drivers/qcow2/tables/image.ts',
  },
  {
    name: 'a higher floor of qcow2',
    file: 'drivers/qcow2/format/planted.ts',
    line: `import type { Qcow2Image } from '../tables/image.ts'; export type Planted = Qcow2Image;`,
    complaint:
      'qcow2-format-imports-only: src/drivers/qcow2/format/planted.ts imports src/drivers/qcow2/tables/image.ts',
  },
  {
    name: 'the floor beside in qcow2',
    file: 'drivers/qcow2/check/planted.ts',
    line: `import { writeRange } from '../data/write.ts'; void writeRange;`,
    complaint: 'qcow2-check-imports-only: src/drivers/qcow2/check/planted.ts imports src/drivers/qcow2/data/write.ts',
  },
  {
    name: 'the host outside of sys',
    file: 'shell/planted-koffi.ts',
    line: `import koffi from 'koffi'; void koffi;`,
    complaint: 'koffi-in-sys: src/shell/planted-koffi.ts imports ',
  },
  {
    name: 'a package in block',
    file: 'block/planted-package.ts',
    line: `import chalk from 'chalk'; void chalk;`,
    complaint: 'no-package-in-util-and-block: src/block/planted-package.ts imports ',
  },
  {
    name: 'a package of the development',
    file: 'shell/planted-development.ts',
    line: `import fc from 'fast-check'; void fc;`,
    complaint: 'no-development-package: src/shell/planted-development.ts imports ',
  },
  {
    name: 'an import of nothing',
    file: 'block/planted-nothing.ts',
    line: `import './nowhere.ts';`,
    complaint: 'resolvable: src/block/planted-nothing.ts imports ./nowhere.ts',
  },
  {
    name: 'an import of values from a floor above, where types are allowed',
    file: 'block/loop/planted.ts',
    line: `import type { BlockNode } from '../graph/node.ts'; export { flush } from '../request/flush.ts'; export type N = BlockNode;`,
    complaint: 'block-loop-imports-values-only: src/block/loop/planted.ts imports src/block/request/flush.ts',
  },
  {
    name: 'a circle of values',
    file: 'util/planted-there.ts',
    line: `import { back } from './planted-back.ts'; export const there = () => back;`,
    complaint: 'no-circle-of-values: src/util/planted-back.ts src/util/planted-there.ts',
  },
];

describe('the check of imports', () => {
  it('sees every module of the project and finds nothing wrong', () => {
    const { status, stdout, complaints } = check(root);
    expect(complaints).toEqual([]);
    expect(status).toBe(0);
    expect(Number.parseInt(stdout, 10)).toBeGreaterThan(20);
  });

  describe('over a copy with violations', () => {
    const copy = useFolder();
    let found: ReturnType<typeof check>;

    beforeAll(() => {
      for (const part of ['src', 'tsconfig.json', 'package.json'])
        cpSync(path.join(root, part), path.join(copy, part), { recursive: true });
      symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
      const plant = (file: string, line: string) => appendFileSync(path.join(copy, 'src', file), `${line}\n`);
      plant('drivers/planted.ts', 'export const planted = 1;');
      plant('drivers/null/planted.ts', 'export const planted = 1;');
      plant('util/planted-back.ts', `import { there } from './planted-there.ts'; export const back = () => there;`);
      // A circle that types alone close is none.
      plant(
        'util/planted-type.ts',
        `import { useType } from './planted-use-type.ts'; export type Kind = ReturnType<typeof useType>; export const kind = useType;`,
      );
      plant('util/planted-use-type.ts', `import { type Kind } from './planted-type.ts';`);
      plant('util/planted-use-type.ts', `export const useType = (it: Kind | null): unknown => it;`);
      for (const { file, line } of violations) plant(file, line);
      found = check(copy);
    }, 120_000);

    it('fails', () => expect(found.status).toBe(1));

    it.each(violations)('finds $name', ({ complaint }) =>
      expect(found.complaints).toContainEqual(expect.stringContaining(complaint)),
    );

    it('complains of nothing else', () => {
      const others = found.complaints.filter(
        (complaint) => !violations.some((violation) => complaint.includes(violation.complaint)),
      );
      expect(others).toEqual([]);
    });
  });
});
