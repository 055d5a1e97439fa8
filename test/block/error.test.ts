/** Errors of the block layer: host errors translated, contexts put before them, bugs passed on. */
import { openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { asBlockError, BlockError, stepsWithContext, withContext } from '../../src/block/error.ts';
import { Errno, HostError } from '../../src/util/errno.ts';
import { run, type Steps } from '../../src/util/steps.ts';

function thrownBy(call: () => unknown): unknown {
  try {
    call();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

describe('asBlockError', () => {
  it('takes the errno of a host call, whoever made it', () => {
    expect(asBlockError(new HostError(Errno.ENOSPC))).toMatchObject({ errno: Errno.ENOSPC });
    const ofNode = thrownBy(() => openSync('/nonexistent/file', 'r'));
    expect(asBlockError(ofNode)).toMatchObject({ errno: Errno.ENOENT, message: 'No such file or directory' });
  });

  it('leaves an error of the block layer as it is', () => {
    const error = new BlockError(Errno.EIO, 'text');
    expect(asBlockError(error)).toBe(error);
  });

  it('throws a bug on', () => {
    const bug = new TypeError('bug');
    expect(thrownBy(() => asBlockError(bug))).toBe(bug);
  });
});

describe('withContext', () => {
  const context = { errno: Errno.EIO, message: 'Could not read: Input/output error' };
  const fail = (): never => {
    throw new BlockError(Errno.EIO, 'text of the layer below');
  };

  it('gives the value of a call that succeeds, now or later', async () => {
    expect(withContext('Could not read', () => 7)).toBe(7);
    await expect(withContext('Could not read', async () => 7)).resolves.toBe(7);
  });

  it('puts the context before the text of the errno, now or later', async () => {
    expect(thrownBy(() => withContext('Could not read', fail))).toMatchObject(context);
    await expect(withContext('Could not read', async () => fail())).rejects.toMatchObject(context);
  });

  it('does so for steps, whether they have waited or not', async () => {
    function* steps(wait: boolean): Steps<void> {
      if (wait) yield Promise.resolve();
      fail();
    }
    expect(thrownBy(() => run(stepsWithContext('Could not read', steps(false))))).toMatchObject(context);
    await expect(run(stepsWithContext('Could not read', steps(true)))).rejects.toMatchObject(context);
  });

  it('throws a bug on', () => {
    const bug = new TypeError('bug');
    const raise = (): never => {
      throw bug;
    };
    expect(thrownBy(() => withContext('Could not read', raise))).toBe(bug);
  });
});
