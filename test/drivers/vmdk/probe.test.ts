/** How a vmdk image is recognised by its first bytes. */
import { expect, it } from 'vitest';
import { vmdk } from '../../../src/drivers/vmdk/probe.ts';

const score = (text: string): number | undefined => vmdk.probe?.(Buffer.from(text, 'latin1'), '');

it.each([
  ['a sparse extent', 'KDMV\x01\0\0\0'],
  ['a COW disk', 'COWD\x01\0\0\0'],
  ['a descriptor', '# Disk DescriptorFile\nversion=1\n'],
  ['a descriptor with blank lines', '# Disk DescriptorFile\n  \n \r\nversion=3\r\n'],
])('%s is one', (_name, head) => expect(score(head)).toBe(100));

it.each([
  ['a text with a version further down', 'hello\nversion=1\n'],
  ['a descriptor with an empty line', '# Disk DescriptorFile\n\nversion=1\n'],
  ['a newer descriptor', 'version=4\n'],
  ['a version without an end', 'version=1'],
  ['three bytes', 'KDM'],
])('%s is none', (_name, head) => expect(score(head)).toBe(0));
