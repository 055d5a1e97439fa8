/** The words of a search's command line: its own options, those of the program, the image and the script. */
import { invalidArgument } from '../../block/error.ts';
import { crash } from '../../search/crash/crash.ts';
import { numberOption, type OptionLine, type Strategy } from '../../search/strategy.ts';
import { explore } from '../../search/explore/explore.ts';
import { sweep } from '../../search/sweep.ts';

/** The searches, by their subcommands. */
export const strategies: readonly Strategy[] = [sweep, explore, crash];

/** Options of every search. */
export const commonOptions: readonly OptionLine[] = [
  ['--json', 'print a line of JSON for each case, and nothing else, to standard output'],
  ['--junit <FILE>', 'write the cases as JUnit has them'],
  ['--jobs <N>', 'threads that run cases; all processors by default'],
  ['--shard <I/N>', 'run part I of N; /N takes I from JOB_COMPLETION_INDEX, SLURM_ARRAY_TASK_ID or TEST_SHARD_INDEX'],
  ['--seed <S>', 'where random numbers start; 1 by default'],
  ['--max-cases <N>', 'end after N cases'],
  ['--max-time <S>', 'end after so many seconds with what there is'],
  ['--resume <FILE>', 'go on where a search has ended that wrote these lines of JSON'],
  ['--leaks', 'a leaked cluster is a find'],
  ['--out <DIR>', 'write each find, made as small as it gets, as files for qemu-io and for blkscope replay'],
  ['--confirm <PROGRAM>', 'run each find in this program, such as qemu-io, on a copy of the image'],
  ['--html <FILE>', 'write a page with the finds and their timelines'],
];

/** A command line, taken apart. */
export interface SearchWords {
  readonly strategy: Strategy;
  /** Common options by name; a flag has an empty value. */
  readonly common: ReadonlyMap<string, string>;
  readonly own: ReadonlyMap<string, string>;
  /** The program's own options, with the image as their operand. */
  readonly program: readonly string[];
  /** Null for a search that stands on something else. */
  readonly script: string | null;
}

/** So many cases a search has at most. */
export function casesMaxOf({ common }: SearchWords): number {
  return numberOption(common, 'max-cases', Number.MAX_SAFE_INTEGER);
}

/** Takes the words behind the subcommand apart. The script is the last of them. Throws EINVAL if that cannot be. */
export function parseSearchWords(strategy: Strategy, words: readonly string[]): SearchWords {
  const common = new Map<string, string>();
  const own = new Map<string, string>();
  const rest: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    if (word === '--') {
      rest.push(...words.slice(index));
      break;
    }
    const [, name = '', value] = /^--([a-z-]+)(?:=([^]*))?$/.exec(word) ?? [];
    const options = isOneOf(name, commonOptions) ? commonOptions : strategy.options;
    if (!isOneOf(name, options)) {
      rest.push(word);
      continue;
    }
    const map = options === commonOptions ? common : own;
    if (takesValue(name, options)) {
      const given = value ?? words[++index];
      if (given === undefined) throw invalidArgument(`--${name} needs a value`);
      map.set(name, given);
    } else {
      if (value !== undefined) throw invalidArgument(`--${name} takes no value`);
      map.set(name, '');
    }
  }
  const needsScript = !(strategy.standsForScript ?? []).some((name) => own.has(name));
  const script = needsScript ? (rest.pop() ?? null) : null;
  if (rest.length === 0) throw invalidArgument(needsScript ? 'an image and a script are needed' : 'an image is needed');
  return { strategy, common, own, program: rest, script };
}

function isOneOf(name: string, options: readonly OptionLine[]): boolean {
  return options.some(([flags]) => nameOf(flags) === name);
}

function takesValue(name: string, options: readonly OptionLine[]): boolean {
  return options.some(([flags]) => nameOf(flags) === name && flags.includes('<'));
}

function nameOf(flags: string): string {
  return flags.slice(2).split(' ', 1)[0] ?? '';
}
