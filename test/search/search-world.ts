/** Worlds for tests: a scenario over an image file, in blkscope's own words. */
import { Open } from '../../src/block/flags.ts';
import { parseOptionString } from '../../src/block/options/option-string.ts';
import { drivers } from '../../src/drivers/index.ts';
import { type Scenario, World } from '../../src/search/world.ts';
import { commandTable } from '../../src/shell/commands/index.ts';
import { runLines } from '../../src/shell/script.ts';
import { Session } from '../../src/shell/session.ts';

/** `image`: what stands behind `--image-opts`. */
export function scenarioOf(image: string, lines: readonly string[], writethrough = true): Scenario {
  return {
    image: () => ({
      filename: null,
      options: parseOptionString(image, undefined, { warn: () => {}, acceptsId: true }),
      flags: Open.READ_WRITE | Open.UNMAP,
      writethrough,
      forceShare: false,
    }),
    lines,
    objects: new Map(),
    misalign: false,
    imageOptions: true,
    bail: false,
  };
}

export function worldOf(scenario: Scenario, memoryMaxBytes?: number): World {
  const parts = { drivers, commands: commandTable };
  return new World(scenario, memoryMaxBytes === undefined ? parts : { ...parts, memoryMaxBytes });
}

/** Runs a scenario outside of any world, on the files themselves; what it says. */
export async function runOnFiles({ image, lines }: Scenario): Promise<string> {
  let said = '';
  const say = (text: string): void => {
    said += text;
  };
  const output = { stdout: say, stderr: say, flush: () => {}, drop: () => {}, isTerminal: false };
  const session = new Session({ output, drivers }, commandTable);
  const request = image();
  if (request !== null && (await session.open(request))) {
    let next = 0;
    await runLines(session.shell, { next: () => lines[next++] ?? null }, null);
    await session.close();
  }
  return said;
}
