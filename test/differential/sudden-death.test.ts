/** A small part of `npm run sudden-death`: the same few kills each time. Needs qemu-img. */
import { describe, expect, it } from 'vitest';
import { caseSeed, runCase } from '../sudden-death/cases.js';

describe('after a SIGKILL the image is sound, and what was flushed is there', () => {
  it.each(Array.from({ length: 16 }, (_, index) => [index]))('case %i', async (index) => {
    const { damage, folder } = await runCase(caseSeed(2, index));
    expect(damage, folder).toBeNull();
  });
});
