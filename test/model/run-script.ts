/** Runs a script over real drivers and files, and compares all that is read with the model of the disk. */
import { rmSync } from 'node:fs';
import { suspendedRequests } from '../../src/block/debug/port.ts';
import { type Pending, run } from '../../src/util/steps.ts';
import type { BlockBackend } from '../../src/block/backend.ts';
import { BlockError } from '../../src/block/error.ts';
import type { BlockNode } from '../../src/block/graph/node.ts';
import { Open, Perm, Req } from '../../src/block/flags.ts';
import { parseOptionString } from '../../src/block/options/option-string.ts';
import { setBackendPermissions } from '../../src/block/graph/permissions.ts';
import { drivers } from '../../src/drivers/index.ts';
import { checkImage } from '../../src/drivers/qcow2/check/check.ts';
import { Qcow2Image } from '../../src/drivers/qcow2/tables/image.ts';
import { commandTable } from '../../src/shell/commands/index.ts';
import { Session } from '../../src/shell/session.ts';
import { type Disk, DISK_BYTES, DISK_SECTORS, imageOptions, initialValue, makeFiles, setUpLines } from './disk.ts';
import type { Content } from '../../src/search/model/content.ts';
import { DiskModel, SECTOR_BYTES } from '../../src/search/model/disk-model.ts';
import { commandOf, type RequestStep, type Step } from './steps.ts';
import { makeFolder } from '../helpers/sandbox.ts';

export interface Script {
  readonly disk: Disk;
  readonly steps: readonly Step[];
  /** The whole disk is read after each step, as well as at the end. */
  readonly readsAlways: boolean;
  /** The image is closed with breakpoints set and requests suspended, which are cancelled. */
  readonly leavesSuspended?: boolean;
}

const readAll: RequestStep = { kind: 'read', sector: 0, sectorCount: DISK_SECTORS, value: 0 };

/** A script as a person would run it. */
export function scriptText({ disk, steps, readsAlways }: Script): string {
  const commands = [...steps.flatMap((step) => (readsAlways ? [step, readAll] : [step])), 'aio_flush', readAll];
  const header = `blkscope --image-opts ${imageOptions(disk, '.')}`;
  return [...setUpLines(disk), header, ...commands.map(commandOf)].join('\n');
}

/** Bugs for a run, to see that they are found. */
export interface Plants {
  readonly node?: (node: BlockNode) => void;
  readonly backend?: (backend: BlockBackend) => void;
}

/** Throws about the first sector that is read with a value that it must not hold. */
export async function runScript(
  { disk, steps, readsAlways, leavesSuspended }: Script,
  plants: Plants = {},
): Promise<void> {
  const folder = makeFolder();
  try {
    makeFiles(disk, folder);
    const run = await ScriptRun.open(disk, folder);
    run.plant(plants);
    for (const step of steps) {
      await run.step(step);
      if (readsAlways) await run.step(readAll);
    }
    if (leavesSuspended !== true) await run.finish();
    await run.close();
    await run.readAgain(disk, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function openSession(options: string): Promise<Session> {
  let said = '';
  const say = (text: string): void => {
    said += text;
  };
  const output = { stdout: () => {}, stderr: say, flush: () => {}, drop: () => {}, isTerminal: false };
  const session = new Session({ output, drivers }, commandTable);
  const request = {
    filename: null,
    options: parseOptionString(options, undefined, { warn: say, acceptsId: true }),
    flags: Open.READ_WRITE | Open.UNMAP,
    writethrough: false,
    forceShare: false,
  };
  if (!(await session.open(request))) throw new Error(said);
  return session;
}

const filledWith = (value: number): Content => ({ kind: 'fill', value });

class ScriptRun {
  #session: Session;
  readonly #model: DiskModel;
  readonly #format: Disk['format'];
  #violation: string | null = null;
  /** Zero writes and discards in flight. */
  #zeroing = 0;

  private constructor(session: Session, model: DiskModel, format: Disk['format']) {
    this.#format = format;
    this.#session = session;
    this.#model = model;
  }

  static async open(disk: Disk, folder: string): Promise<ScriptRun> {
    const session = await openSession(imageOptions(disk, folder));
    const { root } = session.image;
    setBackendPermissions(session.image, root.perm | Perm.WRITE, root.shared);
    return new ScriptRun(session, new DiskModel(DISK_BYTES, filledWith(initialValue(disk))), disk.format);
  }

  plant({ node: change, backend: changeBackend }: Plants): void {
    changeBackend?.(this.#session.image);
    const visit = (node: BlockNode): void => {
      change?.(node);
      for (const child of node.children) visit(child.node);
    };
    visit(this.#session.top);
  }

  async step(step: Step): Promise<void> {
    if (typeof step === 'string') await this.#session.execute(step);
    else if (!this.#mayStart(step)) return;
    else if (step.kind === 'read') await this.#read(step);
    else await this.#write(step);
    this.#check();
  }

  /**
   * In qcow2 zero writes and discards run alone: neither they nor copy on write wait for each other there, so that old
   * content may come back, in QEMU as well (observed with qemu-io 7.2.22: a zero write during `break cow_write`).
   */
  #mayStart({ kind }: RequestStep): boolean {
    if (this.#format === 'raw' || this.#session.background.unfinished === 0) return true;
    return this.#zeroing === 0 && (kind === 'write' || kind === 'read');
  }

  /** Lets all requests end, and reads the disk. */
  async finish(): Promise<void> {
    const session = this.#session;
    for (const tag of ['A', 'B', 'C']) await session.execute(`remove_break ${tag}`);
    while (!(await session.background.drain())) {
      const held = suspendedRequests(session.top)[0];
      if (held === undefined) throw new Error('requests wait for each other');
      await session.execute(`resume ${held.tag}`);
    }
    // The first one may meet the error that is injected once.
    await this.step(readAll);
    await this.step(readAll);
  }

  /** Leaves as `quit` does. */
  async close(): Promise<void> {
    await this.#session.close();
    if (this.#session.background.unfinished > 0) throw new Error('requests never ended');
    this.#check();
  }

  /** Opens the image once more, without rules: nothing that was acknowledged is lost, and the metadata is sound. */
  async readAgain(disk: Disk, folder: string): Promise<void> {
    this.#session = await openSession(imageOptions({ ...disk, debugOptions: [] }, folder));
    await this.step(readAll);
    const { state } = this.#session.top;
    if (state instanceof Qcow2Image) {
      const { corruptions } = await run(checkImage(state, 'none'));
      if (corruptions > 0) throw new Error(`${corruptions} corruptions`);
    }
    await this.close();
  }

  #check(): void {
    if (this.#violation !== null) throw new Error(this.#violation);
  }

  async #read(step: RequestStep): Promise<void> {
    const data = Buffer.alloc(step.sectorCount * SECTOR_BYTES);
    const read = this.#model.beginRead(step.sector * SECTOR_BYTES, step.sectorCount * SECTOR_BYTES);
    const { image } = this.#session;
    await this.#start(
      step,
      () => image.pread(step.sector * SECTOR_BYTES, data),
      (hasFailed) => {
        this.#violation ??= this.#model.endRead(read, hasFailed ? null : data)?.text ?? null;
      },
    );
  }

  async #write(step: RequestStep): Promise<void> {
    const { kind, value, sector, sectorCount } = step;
    const write = this.#model.beginWrite(
      sector * SECTOR_BYTES,
      sectorCount * SECTOR_BYTES,
      filledWith(kind === 'write' ? value : 0),
    );
    if (kind !== 'write') this.#zeroing += 1;
    await this.#start(
      step,
      () => this.#request(step),
      (hasFailed) => {
        if (kind !== 'write') this.#zeroing -= 1;
        this.#model.endWrite(write, !hasFailed && kind !== 'discard');
      },
    );
  }

  #request({ kind, sector, sectorCount, value }: RequestStep): Pending {
    const { image } = this.#session;
    const offset = sector * SECTOR_BYTES;
    const bytes = sectorCount * SECTOR_BYTES;
    if (kind === 'discard') return image.pdiscard(offset, bytes);
    if (kind === 'write') return image.pwrite(offset, Buffer.alloc(bytes, value), 0);
    return image.pwriteZeroes(offset, bytes, kind === 'unmap' ? Req.MAY_UNMAP : 0);
  }

  async #start(step: RequestStep, body: () => Pending, onEnd: (hasFailed: boolean) => void): Promise<void> {
    await this.#session.background.start(
      { operation: commandOf(step), offset: 0, bytes: DISK_BYTES },
      body,
      (error) => {
        if (error !== undefined && !(error instanceof BlockError)) {
          this.#violation ??= error instanceof Error ? error.message : 'what was thrown is no error';
        }
        onEnd(error !== undefined);
      },
    );
  }
}
