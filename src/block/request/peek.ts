/** Reading what a node holds without being noticed: no rule, event, lock, limit or record knows of it. */
import { Errno } from '../../util/errno.ts';
import type { Pending, Steps } from '../../util/steps.ts';
import { BlockError } from '../error.ts';
import type { BlockNode } from '../graph/node.ts';
import { checkOpen } from './check.ts';
import { transferBytes } from './driver-io.ts';

/** Fills `data` from an offset of a node; with zeroes behind its end. ENOTSUP if no driver below can be read so. */
export function* peek(node: BlockNode, offset: number, data: Buffer): Steps<void> {
  const { driver } = node;
  checkOpen(node);
  if (driver.peek === undefined) {
    const below = node.filteredChild;
    if (below === null)
      throw new BlockError(Errno.ENOTSUP, `the driver ${driver.formatName} can only be read by requests`);
    yield* peek(below.node, offset, data);
    return;
  }
  const length = driver.getLength?.(node) ?? node.getLength();
  const bytes = Math.max(0, Math.min(data.length, length - offset));
  data.fill(0, bytes);
  if (bytes === 0) return;
  const align = node.limits.requestAlignment;
  const head = offset % align;
  const tail = (align - ((offset + bytes) % align)) % align;
  const whole = head === 0 && tail === 0 ? data.subarray(0, bytes) : Buffer.alloc(head + bytes + tail);
  const step = transferBytes(node);
  for (let done = 0; done < whole.length; done += step) {
    yield driver.peek(node, offset - head + done, whole.subarray(done, done + step)) satisfies Pending;
  }
  if (head + tail > 0) whole.copy(data, 0, head, head + bytes);
}
