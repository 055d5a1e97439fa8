/**
 * The strategy `crash`: the disks after a loss of power at each moment of a scenario.
 *
 * The scenario runs once, with a log of its changes and flushes. What was flushed stays; of what came after the flush
 * any part may be lost. Each such state is opened, which repairs it as QEMU would, checked, and read: it must hold what
 * the user was told is on stable storage.
 */
import { isMainThread } from 'node:worker_threads';
import { SECTOR_BYTES } from '../../block/flags.ts';
import { type Baseline, lookAfter } from '../aftermath.ts';
import type { FinishedCase } from '../case.ts';
import { DiskModel } from '../model/disk-model.ts';
import {
  type FindScript,
  type Json,
  numberOption,
  type Outcome,
  type Rerun,
  type SearchOptions,
  type Strategy,
  type Units,
} from '../strategy.ts';
import { type Verdict, verdictOn } from '../verdict.ts';
import type { World } from '../world.ts';
import type { Disks } from '../../sandbox/disks/disks.ts';
import type { LogEntry } from '../../sandbox/disks/disk-log.ts';
import { type Epoch, epochsOf } from './epochs.ts';
import { type LossSettings, type LossState, LossStates } from './loss-states.ts';
import { parseRecipe, recipeOf } from './loss-recipe.ts';
import { StateDisks } from './state-disks.ts';
import type { Replay } from './timeline.ts';
import { exportLog, type Recording, record } from './crash-log.ts';

/** Of an epoch with many changes. */
const DEFAULT_SAMPLES = 1024;
const MAX_SAMPLES = 1_000_000;
/** States that are tried over a smaller scenario. */
const SIMILAR_MAX = 500;
/** Changes that a title names. */
const NAMED_MAX = 3;

/** The states of one scenario. */
export class Crash implements Units {
  readonly #world: World;
  readonly #baseline: Baseline;
  readonly #recording: Recording;
  readonly #epochs: readonly Epoch[];
  readonly #states: LossStates;
  readonly #disks: StateDisks;
  #replay: Replay | null;
  #epoch = -1;
  /** Verdicts on the states of the epoch by the digest of their disks. */
  readonly #known = new Map<string, Verdict>();

  constructor(world: World, baseline: Baseline, recording: Recording, settings: LossSettings) {
    this.#world = world;
    this.#baseline = baseline;
    this.#recording = recording;
    this.#epochs = epochsOf(this.#log);
    this.#states = new LossStates(this.#log, this.#epochs, settings);
    this.#disks = new StateDisks(this.#log, this.#epochs, recording.finished.disks.pristine());
    this.#replay = recording.timeline?.replay(baseline.content) ?? null;
  }

  get #log(): readonly LogEntry[] {
    return this.#recording.log;
  }

  get count(): number {
    return this.#states.count;
  }

  async run(unit: number, _isStopped: () => boolean): Promise<readonly Outcome[]> {
    const state = this.#states.at(unit);
    return [this.#outcome(state, await this.#judge(state))];
  }

  async again(recipe: Json): Promise<Rerun> {
    const state = parseRecipe(recipe, this.#epochs);
    const verdict = await this.#judge(state);
    const expected = { model: this.#modelAt(state), isFlushed: false };
    return {
      outcome: this.#outcome(state, verdict),
      judged: { finished: this.#recording.finished, verdict, expected },
    };
  }

  /** The first states: a smaller scenario has few. */
  similar(): readonly Json[] {
    const states = Array.from({ length: Math.min(this.count, SIMILAR_MAX) }, (_, unit) => this.#states.at(unit));
    return states.map((state) => recipeOf(state, this.#lostIn(state)));
  }

  /** No program loses power by its commands: the files are those after it, and are read where they are wrong. */
  async script(recipe: Json): Promise<FindScript> {
    const { detail } = await this.#judge(parseRecipe(recipe, this.#epochs));
    const [, offset, value] = /the sector at (\d+) holds (0x[0-9a-f]{2})?/.exec(detail) ?? [];
    const pattern = value === undefined ? '-v' : `-P ${value}`;
    const lines = [offset === undefined ? 'length' : `read ${pattern} ${offset} ${SECTOR_BYTES}`];
    return { lines, rules: '', files: this.disksOf(recipe) };
  }

  /** The disks of a case before anything was done with them. The caller releases them. */
  disksOf(recipe: Json): Disks {
    return this.#disks.make(parseRecipe(recipe, this.#epochs));
  }

  async #judge(state: LossState): Promise<Verdict> {
    this.#enter(state.epoch);
    const disks = this.#disks.make(state);
    const digest = disks.digest();
    const known = this.#known.get(digest);
    if (known !== undefined) {
      disks.release();
      return known;
    }
    const verdict = await this.#look(disks, this.#modelAt(state));
    this.#known.set(digest, verdict);
    return verdict;
  }

  #modelAt({ epoch }: LossState): DiskModel {
    const { position } = this.#epochs[epoch] as Epoch;
    return this.#replay?.modelAt(position) ?? new DiskModel(Number.MAX_SAFE_INTEGER, { kind: 'anything' });
  }

  async #look(disks: Disks, model: DiskModel): Promise<Verdict> {
    const after = await lookAfter(this.#world, disks, { model, isFlushed: false });
    disks.release();
    // How the scenario itself ended is for the other searches to judge.
    const finished: FinishedCase = { ...this.#recording.finished, journal: [], crash: null, hung: [] };
    return verdictOn({ finished, violations: [], after, baseline: this.#baseline });
  }

  #enter(epoch: number): void {
    if (epoch === this.#epoch) return;
    if (epoch < this.#epoch) {
      this.#replay = this.#recording.timeline?.replay(this.#baseline.content) ?? null;
    }
    this.#epoch = epoch;
    this.#known.clear();
  }

  #outcome(state: LossState, verdict: Verdict): Outcome {
    const epoch = this.#epochs[state.epoch] as Epoch;
    const lost = this.#lostIn(state);
    return {
      recipe: recipeOf(state, lost),
      title: this.#title(state, epoch, lost),
      verdict: verdict.name,
      detail: verdict.detail,
      signature: verdict.name === 'sound' ? '' : `${verdict.mark}; ${this.#momentOf(epoch)}`,
      hazard: verdict.name === 'sound' ? '' : (this.#recording.finished.hazards[0] ?? ''),
    };
  }

  #lostIn({ epoch, kept: keptChanges, torn }: LossState): number[] {
    const kept = new Set(keptChanges);
    const { pending } = this.#epochs[epoch] as Epoch;
    return pending.filter((change) => !kept.has(change) && change !== torn?.change);
  }

  #title({ torn }: LossState, { position, pending }: Epoch, lost: readonly number[]): string {
    const flush = this.#log[position];
    const moment = flush === undefined ? 'in the end' : `before the flush of ${this.#originOf(flush)}`;
    const parts: string[] = [];
    if (torn !== null) {
      const entry = this.#log[torn.change] as LogEntry;
      parts.push(`${torn.to - torn.from} bytes at ${entry.offset + torn.from} of the ${changeText(entry)} arrived`);
    }
    const named = lost.slice(0, NAMED_MAX).map((change) => changeText(this.#log[change] as LogEntry));
    if (lost.length > NAMED_MAX) named.push(`${lost.length - NAMED_MAX} more`);
    if (lost.length > 0) parts.push(`${lost.length} of ${pending.length} changes lost: ${named.join(', ')}`);
    return `power lost ${moment}: ${parts.length === 0 ? 'nothing lost' : parts.join('; ')}`;
  }

  /** The line of the script that an entry comes from, or its place in the log of another program. */
  #originOf({ command, request }: LogEntry): string {
    if (this.#recording.timeline === null) return `entry ${request} of the log`;
    const line = this.#world.scenario.lines[command - 1];
    return line === undefined ? 'open or close' : `line ${command} (${line})`;
  }

  /** The part of the moment that finds of one kind share. */
  #momentOf({ position }: Epoch): string {
    if (this.#recording.timeline === null) return 'in a log of writes';
    const flush = this.#log[position];
    const line = flush === undefined ? undefined : this.#world.scenario.lines[flush.command - 1];
    if (flush === undefined) return 'in the end';
    return `before a flush of ${line === undefined ? 'open or close' : (/^\s*(\S+)/.exec(line)?.[1] ?? '')}`;
  }
}

function changeText({ kind, offset, bytes }: LogEntry): string {
  return kind === 'truncate' ? `truncate to ${offset}` : `${kind} of ${bytes} at ${offset}`;
}

function settingsOf({ seed, own }: SearchOptions): LossSettings {
  const samples = numberOption(own, 'samples', DEFAULT_SAMPLES, { most: MAX_SAMPLES });
  return { seed, samples, isTorn: own.has('torn') };
}

/** The search. */
export const crash = {
  name: 'crash',
  description: 'lose the power at every moment of a script, and judge what is left on the disk',
  options: [
    ['--samples <N>', `states of a time with more than 10 changes that can be lost (${DEFAULT_SAMPLES})`],
    ['--log <FILE>', 'judge a log of writes (dm-log-writes, blklogwrites) over the image instead of a script'],
    ['--export-log <FILE>', 'write the log of the image file, as dm-log-writes does'],
    ['--torn', 'also writes of which only some sectors have arrived'],
  ],
  standsForScript: ['log'],
  writtenOnce: ['export-log'],
  async prepare(world: World, baseline: Baseline, options: SearchOptions): Promise<Crash> {
    const settings = settingsOf(options);
    const recording = await record(world, options.own.get('log'));
    const target = options.own.get('export-log');
    // The threads of a search prepare, too.
    if (target !== undefined && isMainThread) exportLog(target, recording);
    return new Crash(world, baseline, recording, settings);
  },
} satisfies Strategy;
