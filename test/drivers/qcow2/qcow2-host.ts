/** qcow2 images in a temporary folder, with what tests ask of them. */
import { writeFileSync } from 'node:fs';
import type { BlockBackend } from '../../../src/block/backend.ts';
import type { OptionValue } from '../../../src/block/options/options.ts';
import { checkImage } from '../../../src/drivers/qcow2/check/check.ts';
import type { CheckResult } from '../../../src/block/driver.ts';
import type { Qcow2Image } from '../../../src/drivers/qcow2/tables/image.ts';
import { run } from '../../../src/util/steps.ts';
import { HostImages } from '../../helpers/host-images.ts';
import { type ImageSettings, makeImage } from './make-image.ts';

export class Qcow2Host extends HostImages {
  /** Writes an image and returns its path. `change` may damage it. */
  image(name: string, settings: ImageSettings = {}, change: (image: Buffer) => void = () => {}): string {
    const image = makeImage(settings);
    change(image);
    writeFileSync(this.path(name), image);
    return this.path(name);
  }

  /** Changes bytes of an image that is not open for writing. */
  change(name: string, edit: (image: Buffer) => void): void {
    const image = this.bytes(name);
    edit(image);
    writeFileSync(this.path(name), image);
  }

  openQcow2(name: string, options: Record<string, OptionValue> = {}, flags?: number): Promise<BlockBackend> {
    return this.open({ driver: 'qcow2', 'file.driver': 'file', 'file.filename': this.path(name), ...options }, flags);
  }

  /** Opens an image over blkdebug with these options of it, and these of its own. */
  openDebug(
    name: string,
    options: Record<string, OptionValue> = {},
    own: Record<string, OptionValue> = {},
  ): Promise<BlockBackend> {
    return this.open({
      ...own,
      driver: 'qcow2',
      'file.driver': 'blkdebug',
      'file.node-name': 'debug',
      'file.image.driver': 'file',
      'file.image.filename': this.path(name),
      ...Object.fromEntries(Object.entries(options).map(([key, value]) => [`file.${key}`, value])),
    });
  }

  refusalOf(name: string, options: Record<string, OptionValue> = {}, flags?: number): Promise<string> {
    const all = { driver: 'qcow2', 'file.driver': 'file', 'file.filename': this.path(name), ...options };
    return this.refusal(all, flags);
  }

  /** The counts of a check, without repairing anything. */
  async check(image: BlockBackend): Promise<CheckResult> {
    let result: CheckResult | undefined;
    const errno = await this.errno(async () => {
      await stateOf(image).l2Cache.flush();
      await stateOf(image).refcountCache.flush();
      result = await run(checkImage(stateOf(image), 'none'));
    });
    if (result === undefined) throw new Error(`the check failed with errno ${errno}`);
    return result;
  }
}

export function stateOf(image: BlockBackend): Qcow2Image {
  return image.top.state as Qcow2Image;
}

export const CLEAN: Partial<CheckResult> = {
  corruptions: 0,
  leaks: 0,
  checkErrors: 0,
  corruptionsFixed: 0,
  leaksFixed: 0,
};
