/** `qemu-img check` as this program does it: the same output, exit status and changes of the file. */
import type { CheckRepair } from '../../src/block/driver.ts';
import { BlockError } from '../../src/block/error.ts';
import { Open } from '../../src/block/flags.ts';
import { GraphContext } from '../../src/block/graph/context.ts';
import { closeBackend } from '../../src/block/graph/graph.ts';
import { checkAsJson, checkStatus, checkTwice, describeCheck, describeRepairs } from '../../src/block/image-check.ts';
import { EventLoop } from '../../src/block/loop/loop.ts';
import { DriverTable } from '../../src/block/open/driver-table.ts';
import { openBackend } from '../../src/block/open/open.ts';
import { Options } from '../../src/block/options/options.ts';
import { drivers } from '../../src/drivers/index.ts';
import { Errno, strerror } from '../../src/util/errno.ts';
import { outcome } from './memory-node.ts';

export interface CheckOutcome {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The exit status of `qemu-img check` for a format, or a repair, that has no check. */
const NO_CHECKS = 63;

const table = new DriverTable(drivers);

/** Checks an image. */
export async function ownCheck(
  file: string,
  repair: CheckRepair,
  isJson: boolean,
  format = 'qcow2',
): Promise<CheckOutcome> {
  const loop = new EventLoop();
  const said: string[] = [];
  const context = new GraphContext({
    loop,
    drivers: table,
    programName: 'qemu-img',
    stderr: (line) => said.push(line),
  });
  const flags = Open.UNMAP | Open.CHECK | (repair === 'none' ? 0 : Open.READ_WRITE);
  let stdout = '';
  let exit = 1;
  const error = await outcome(loop, async () => {
    const options = new Options([['driver', format]]);
    const image = await openBackend(context, { filename: file, options, flags });
    try {
      const print = (lines: readonly string[]): void => {
        stdout += `${lines.join('\n')}\n`;
      };
      const result = await checkTwice(image.top, repair, (first) => {
        if (!isJson) print(describeRepairs(first));
      });
      print(isJson ? [JSON.stringify(checkAsJson(result, file, format))] : describeCheck(result));
      exit = checkStatus(result);
      if (exit === 1) context.report('Check failed');
    } catch (failure) {
      if (!(failure instanceof BlockError)) throw failure;
      const isUnsupported = failure.errno === Errno.ENOTSUP;
      context.report(
        isUnsupported ? 'This image format does not support checks' : `Check failed: ${strerror(failure.errno)}`,
      );
      if (isUnsupported) exit = NO_CHECKS;
    } finally {
      await closeBackend(image);
    }
  });
  if (error instanceof BlockError) context.report(`Could not open '${file}': ${error.message}`);
  else if (error !== undefined) throw error;
  return { exit, stdout, stderr: said.map((line) => `${line}\n`).join('') };
}
