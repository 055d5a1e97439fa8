/**
 * Makes a search ready, in the main thread and in each other: the scenario, its world, and the units of the strategy.
 */
import { debugNodes } from '../../block/debug/port.ts';
import { BlockError, invalidArgument } from '../../block/error.ts';
import { Open } from '../../block/flags.ts';
import { Options } from '../../block/options/options.ts';
import { parseOptionString } from '../../block/options/option-string.ts';
import { drivers } from '../../drivers/index.ts';
import { type Baseline, readBaseline } from '../../search/aftermath.ts';
import { openAsIs } from '../../search/case.ts';
import { numberOption, type Units } from '../../search/strategy.ts';
import { REFUSED_COMMAND, type Scenario, World, type WorldParts } from '../../search/world.ts';
import { refusedLine } from '../../sandbox/sandbox-table.ts';
import type { CommandTable } from '../../shell/command.ts';
import { commandsOf } from '../../shell/commands/index.ts';
import { LineSplitter } from '../../shell/data/line-splitter.ts';
import type { OpenRequest } from '../../shell/session.ts';
import { tokenize } from '../../shell/words/tokenizer.ts';
import { Exit, type Invocation, parseArguments } from '../command-line.ts';
import { readInput } from './case-files.ts';
import { withBlkdebug } from './find-words.ts';
import { casesMaxOf, type SearchWords } from './search-words.ts';

/** Lines of a script count for each case; a longer one is no scenario. */
const SCRIPT_MAX_BYTES = 1 << 20;

/** A search that can begin. */
export interface PreparedSearch {
  readonly invocation: Invocation;
  readonly scenario: Scenario;
  readonly baseline: Baseline;
  readonly units: Units;
  readonly seed: number;
  readonly image: string;
}

function partsOf({ compat }: Invocation): WorldParts {
  return { drivers, commands: commandsOf(compat), compat };
}

/**
 * Reads the script, opens the image and lets the strategy look at both. Throws BlockError if that cannot be. `complain`
 * is for messages of the option parser.
 */
export async function prepareSearch(words: SearchWords, complain: (text: string) => void): Promise<PreparedSearch> {
  return prepareLines(words, words.script === null ? [] : readLines(words.script), complain);
}

/** `prepareSearch` for lines that are there already. */
export async function prepareLines(
  words: SearchWords,
  lines: readonly string[],
  complain: (text: string) => void,
): Promise<PreparedSearch> {
  const invocation = await parseProgramWords(words, complain);
  const table = commandsOf(invocation.compat);
  const refused = unknownCommand(table, lines) ?? refusedLine(table, lines, REFUSED_COMMAND);
  if (refused !== null) throw invalidArgument(`${words.script}: ${refused}`);
  const world = await makeWorld(invocation, lines);
  const baseline = await readBaseline(world);
  const seed = numberOption(words.common, 'seed', 1);
  const units = await words.strategy.prepare(world, baseline, { seed, casesMax: casesMaxOf(words), own: words.own });
  return { invocation, scenario: world.scenario, baseline, units, seed, image: invocation.file ?? '' };
}

/** A sentence about the first line that is no command; null if there is none. */
function unknownCommand(table: CommandTable, lines: readonly string[]): string | null {
  for (const [index, line] of lines.entries()) {
    const [name] = tokenize(line);
    if (name !== undefined && table.find(name) === undefined) return `line ${index + 1}: command "${name}" not found`;
  }
  return null;
}

async function parseProgramWords({ program }: SearchWords, complain: (text: string) => void): Promise<Invocation> {
  let said = '';
  const say = (text: string): void => {
    said += text;
  };
  const invocation = await parseArguments(program, { programName: 'blkscope', stdout: say, stderr: say });
  if (invocation instanceof Exit) {
    complain(said);
    throw invalidArgument('the options of the program and one image are needed before the script');
  }
  const { file, commands, scripts, record, monitor, exports, once, live, demo, prompt, flags } = invocation;
  if (file === null) throw invalidArgument('an image and a script are needed');
  const isSession = commands.length + scripts.length + exports.length > 0 || once || live || demo;
  if (isSession || record !== null || monitor !== null || prompt !== null) {
    throw invalidArgument('of the options of the program, a search takes those that say what to open and how');
  }
  if ((flags & Open.SNAPSHOT) !== 0) throw invalidArgument('a search never writes to the image: -s has no meaning');
  return invocation;
}

function readLines(file: string): string[] {
  const text = readInput(file, SCRIPT_MAX_BYTES);
  const splitter = new LineSplitter();
  splitter.push(text);
  const lines: string[] = [];
  for (let line = splitter.shift(); line !== null; line = splitter.shift()) lines.push(line);
  const last = splitter.takeRest();
  return last === null ? lines : [...lines, last];
}

/** A world whose image has a node with rules, if one can be put below its format. */
async function makeWorld(invocation: Invocation, lines: readonly string[]): Promise<World> {
  const plain = new World(
    scenarioOf(invocation, lines, (options) => options),
    partsOf(invocation),
  );
  const found = await lookAt(plain);
  if (found.hasRules || found.failure !== null) return plain;
  const ruled = new World(scenarioOf({ ...invocation, blkdebug: true }, lines, withBlkdebug), partsOf(invocation));
  if (!(await lookAt(ruled)).hasRules) return plain;
  plain.close();
  return ruled;
}

async function lookAt(world: World): Promise<{ readonly hasRules: boolean; readonly failure: string | null }> {
  const disks = world.disks(false);
  const { session, transcript, isOpen } = await openAsIs(world, disks);
  const hasRules = isOpen && debugNodes(session.top).length > 0;
  await session.close();
  disks.release();
  return { hasRules, failure: isOpen ? null : transcript.stderr };
}

function scenarioOf(invocation: Invocation, lines: readonly string[], change: (options: Options) => Options): Scenario {
  const { file, format, imageOptions, blkdebug, flags, writethrough, forceShare, objects, misalign, bail } = invocation;
  const name = file ?? '';
  const image = (): OpenRequest => {
    const common = { flags, writethrough, forceShare };
    if (imageOptions) {
      const options = parseOptionString(name, undefined, { warn: () => {}, acceptsId: true });
      return { ...common, filename: null, options: change(options) };
    }
    const options = format === null ? null : new Options([['driver', format]]);
    return { ...common, filename: blkdebug ? `blkdebug::${name}` : name, options };
  };
  return { image, lines, objects, misalign, imageOptions, bail };
}

/** The units of the search over other lines; null if it cannot be. `close` gives back what it holds. */
export async function searchOver(
  { strategy, own }: SearchWords,
  { invocation, scenario, baseline, seed }: PreparedSearch,
  lines: readonly string[],
): Promise<{ readonly units: Units; close(): void } | null> {
  const world = new World({ ...scenario, lines }, partsOf(invocation));
  try {
    const quiet = new Map([...own].filter(([name]) => strategy.writtenOnce?.includes(name) !== true));
    const units = await strategy.prepare(world, baseline, { seed, casesMax: Number.MAX_SAFE_INTEGER, own: quiet });
    return { units, close: () => world.close() };
  } catch (error) {
    world.close();
    if (error instanceof BlockError) return null;
    throw error;
  }
}

/** A world over the image of a command line, without rules of a search. */
export function worldOf(invocation: Invocation): World {
  return new World(
    scenarioOf(invocation, [], (options) => options),
    partsOf(invocation),
  );
}

/** The sentence of an error that keeps a search from running; null for a bug, which is thrown on. */
export function reasonOf(error: unknown): string | null {
  return error instanceof BlockError ? error.message : null;
}
