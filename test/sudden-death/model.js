/** The model of the disk, made from its source: the deaths run without a build of the tests. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = path.resolve(fileURLToPath(import.meta.url), '../../..');
const build = await rolldown({ cwd: root, input: 'src/search/model/disk-model.ts', platform: 'node' });
const { output } = await build.generate({ format: 'esm' });
await build.close();

/** @type {typeof import('../../src/search/model/disk-model.ts')} */
const made = await import(`data:text/javascript,${encodeURIComponent(output[0].code)}`);

export const { DiskModel, SECTOR_BYTES } = made;
/** @typedef {import('../../src/search/model/disk-model.ts').DiskModel} Model */
/** @typedef {import('../../src/search/model/disk-model.ts').ModelWrite} ModelWrite */
