/** Worlds for tests: a scenario over an image file, in blkscope's own words. */
import { Open } from '../../src/block/flags.ts';
import { parseOptionString } from '../../src/block/options/option-string.ts';
import { drivers } from '../../src/drivers/index.ts';
import { type Scenario, World } from '../../src/search/world.ts';
import { commandTable } from '../../src/shell/commands/index.ts';

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
