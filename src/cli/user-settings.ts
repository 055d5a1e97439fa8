/**
 * The user's settings, `~/.config/blkscope/settings.ini`: read on a terminal only, so that a script never depends on
 * them.
 */
import { homedir } from 'node:os';
import path from 'node:path';
// @ts-expect-error -- it has no declarations
import { parse } from 'ini';
import { hostErrno, strerror } from '../util/errno.ts';
import { FileReader } from '../util/file-reader.ts';
import { printable } from '../util/printable.ts';
import type { PanelColumn } from '../live/panel/panel.ts';
import type { ColourMode } from './paint.ts';

/** The settings; a line that is wrong leaves its setting as it was. */
export interface Settings {
  /** The prompt; null for "blkscope> " with what there is to tell. */
  prompt: string | null;
  colours: ColourMode;
  /** Most lines that the history keeps; 0 keeps none. */
  historyLines: number;
  /** Ask before suspended requests are cancelled. */
  confirms: boolean;
  /** The panel is shown from the start. */
  live: boolean;
  /** Rows of the panel's lists; null for its own choice. */
  panelRows: number | null;
  panelColumns: readonly PanelColumn[];
  /** First words of a line, and what stands for them. */
  readonly aliases: Map<string, string>;
  /** Files of commands that run before the first prompt, absolute. */
  readonly sources: string[];
}

/** An example of the file, with the default values. */
export const settingsHelp = `[terminal]
prompt = "blkscope> "       ; without it the prompt also tells the state and the suspended requests
colours = auto              ; auto, always or never
history = 1000              ; lines kept from one session to the next; 0 keeps none
confirm = on                ; ask before suspended requests are cancelled
[panel]
live = off                  ; show it from the start
rows = 6                    ; of its lists: 1 to 50
columns = events,rules,suspended
[alias]
wp = write -P 0xab          ; "wp 0 64k" runs "write -P 0xab 0 64k"
[startup]
source = ~/commands         ; run before the first prompt; relative to the settings' folder`;

/** Far beyond any file written by hand. */
const MAX_FILE_BYTES = 64 << 10;
const MAX_HISTORY_LINES = 100_000;
const MAX_PANEL_ROWS = 50;
const panelColumns: readonly PanelColumn[] = ['events', 'rules', 'suspended'];

/** The settings of a user who has set nothing. */
export function defaultSettings(): Settings {
  return {
    prompt: null,
    colours: 'auto',
    historyLines: 1000,
    confirms: true,
    live: false,
    panelRows: null,
    panelColumns,
    aliases: new Map(),
    sources: [],
  };
}

/** `$XDG_CONFIG_HOME/blkscope/settings.ini`, by default below ~/.config; null if the user has no home. */
export function settingsFile(): string | null {
  const configHome = process.env.XDG_CONFIG_HOME;
  if (configHome !== undefined && path.isAbsolute(configHome)) return path.join(configHome, 'blkscope', 'settings.ini');
  try {
    return path.join(homedir(), '.config', 'blkscope', 'settings.ini');
  } catch {
    return null;
  }
}

/**
 * Reads the file. Each line that is wrong is reported through `complain` as "FILE:LINE: reason" and left out; a file
 * that is missing is no complaint. `isCommand` tells which names an alias must not take.
 */
export function readSettings(
  file: string | null,
  isCommand: (name: string) => boolean,
  complain: (text: string) => void,
): Settings {
  const settings = defaultSettings();
  if (file === null) return settings;
  let text: string;
  try {
    text = readBounded(file);
  } catch (error) {
    const reason = error instanceof WrongLine ? error.message : strerror(hostErrno(error));
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') complain(`${printable(file)}: ${reason}`);
    return settings;
  }
  let section: string | null = '';
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    try {
      section = takeLine(line, section, settings, { folder: path.dirname(file), isCommand });
    } catch (error) {
      if (!(error instanceof WrongLine)) throw error;
      if (isSection(line)) section = null;
      complain(`${printable(file)}:${index + 1}: ${error.message}`);
    }
  }
  return settings;
}

class WrongLine extends Error {}

/** The text of a regular file of a bounded size; opening a FIFO does not wait for a writer. */
function readBounded(name: string): string {
  const file = new FileReader(name);
  try {
    if (file.bytes === null) throw new WrongLine('not a regular file');
    if (file.bytes > MAX_FILE_BYTES) throw new WrongLine(`larger than ${MAX_FILE_BYTES >> 10} KiB`);
    const bytes = Buffer.alloc(MAX_FILE_BYTES);
    let length = 0;
    for (;;) {
      const count = file.read(bytes.subarray(length));
      length += count;
      if (count === 0 || length === bytes.length) return bytes.toString('utf8', 0, length);
    }
  } finally {
    file.close();
  }
}

interface Surroundings {
  readonly folder: string;
  readonly isCommand: (name: string) => boolean;
}

function isSection(line: string): boolean {
  return line.trimStart().startsWith('[');
}

/**
 * Takes one line; the section that the next one is in, null behind one that there is not: its settings are left out. A
 * line at a time, since the parser does not number them.
 */
function takeLine(line: string, section: string | null, settings: Settings, surroundings: Surroundings): string | null {
  if (/^\s*(?:$|[;#])/.test(line) || (section === null && !isSection(line))) return section;
  const [entry, ...more] = Object.entries(parse(withoutComment(line)) as Record<string, unknown>);
  if (entry === undefined || more.length > 0) throw new WrongLine('not understood');
  const [key, value] = entry;
  if (section === null || isSection(line)) {
    if (typeof value !== 'object') throw new WrongLine('a section is [NAME]');
    if (!Object.hasOwn(sections, key))
      throw new WrongLine(`no section [${printable(key)}]; there are ${listed(sections)}`);
    return key;
  }
  // The parser makes `true`, `false` and `null` of these words.
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  if (!line.includes('=') || Array.isArray(value)) throw new WrongLine('expected NAME = VALUE');
  if (section === 'alias') {
    takeAlias(key, text, settings, surroundings);
    return section;
  }
  const settingsOfSection = sections[section];
  if (settingsOfSection === undefined) throw new WrongLine('expected a section such as [terminal] first');
  const take = Object.hasOwn(settingsOfSection, key) ? settingsOfSection[key] : undefined;
  if (take === undefined) {
    throw new WrongLine(`no setting '${printable(key)}' in [${section}]; there are ${listed(settingsOfSection)}`);
  }
  take(settings, text, surroundings);
  return section;
}

/** The parser leaves the quotes of a value on when a comment follows it. */
function withoutComment(line: string): string {
  return line.replace(/^([^=]*=\s*(?:"(?:[^"\\]|\\.)*"|'[^']*'))\s*[;#].*$/, '$1');
}

type Take = (settings: Settings, value: string, surroundings: Surroundings) => void;

/** The settings by section and name; `alias` has any names. */
const sections: Readonly<Record<string, Readonly<Record<string, Take>>>> = {
  terminal: {
    prompt: (settings, value) => {
      settings.prompt = printable(value);
    },
    colours: (settings, value) => {
      settings.colours = oneOf(['auto', 'always', 'never'], value);
    },
    history: (settings, value) => {
      settings.historyLines = numberBetween(0, MAX_HISTORY_LINES, value);
    },
    confirm: (settings, value) => {
      settings.confirms = onOrOff(value);
    },
  },
  panel: {
    live: (settings, value) => {
      settings.live = onOrOff(value);
    },
    rows: (settings, value) => {
      settings.panelRows = numberBetween(1, MAX_PANEL_ROWS, value);
    },
    columns: (settings, value) => {
      const names = value.split(',').map((name) => oneOf(panelColumns, name.trim()));
      settings.panelColumns = panelColumns.filter((name) => names.includes(name));
    },
  },
  alias: {},
  startup: {
    source: (settings, value, { folder }) => {
      if (value === '') throw new WrongLine('expected a file');
      settings.sources.push(path.resolve(folder, value.replace(/^~(?=\/)/, homedir())));
    },
  },
};

function takeAlias(name: string, value: string, { aliases }: Settings, { isCommand }: Surroundings): void {
  if (/\s/.test(name)) throw new WrongLine('an alias is one word');
  if (isCommand(name)) throw new WrongLine(`'${printable(name)}' is a command already`);
  if (value.trim() === '') throw new WrongLine('expected a command');
  aliases.set(name, value.trim());
}

/** A line with its first word replaced, if that is an alias. */
export function withoutAlias(line: string, aliases: ReadonlyMap<string, string>): string {
  const [word = ''] = /\S+/.exec(line) ?? [];
  const meaning = aliases.get(word);
  return meaning === undefined ? line : meaning + line.slice(line.indexOf(word) + word.length);
}

function listed(table: object): string {
  return Object.keys(table).join(', ');
}

function oneOf<T extends string>(values: readonly T[], value: string): T {
  const found = values.find((each) => each === value);
  if (found === undefined) throw new WrongLine(`'${printable(value)}' is none of ${values.join(', ')}`);
  return found;
}

function onOrOff(value: string): boolean {
  return oneOf(['on', 'off', 'true', 'false'], value) === 'on' || value === 'true';
}

function numberBetween(least: number, most: number, value: string): number {
  const number = /^\d{1,9}$/.test(value) ? Number(value) : -1;
  if (number < least || number > most)
    throw new WrongLine(`'${printable(value)}' is no number from ${least} to ${most}`);
  return number;
}
