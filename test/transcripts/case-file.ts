/**
 * The format of the golden transcripts, `*.case`: what a program is given, and what it said.
 *
 *     # a comment, anywhere among the inputs; lines before the first case are the defaults of all cases
 *     image disk.raw 1M                 a sparse file (also: fill NAME OFFSET LENGTH BYTE, bytes NAME OFFSET HEX,
 *                                       luks NAME LENGTH [CIPHER KEYBYTES], qcow2 NAME LENGTH [luks|aes], dir NAME,
 *                                       qed NAME LENGTH [BACKING], qcow NAME LENGTH [BACKING|aes],
 *                                       vmdk NAME LENGTH [BACKING], …; all of them in `test/helpers/sandbox.ts`)
 *     file rules.conf                   a file of the lines that follow
 *     | [inject-error]                  (`\xHH` is a byte)
 *     args -f raw disk.raw              the command line, quoted as in a shell; again: adds to it
 *     keep 1                            compare only the first line of stdout (the rest is help, in own words)
 *     requires o_direct                 skip where the file system lacks it
 *
 *     ## write refuses a negative offset
 *     < write -1 4k                     a line of standard input
 *     > qemu-io> Parsing error: …       a line of stdout; `>.` a last one without a newline
 *     ! …                               a line of stderr; `!.` likewise
 *     ~ disk.raw 1048576 1f2e3d4c5b6a   a file that changed: length in bytes, start of its SHA-1
 *     = 0                               the exit status, or the signal
 *
 * A case with `opts` instead of `args` records a sequence of events: see `test/helpers/event-sequence.ts`.
 * `setup` lines are commands run first, `request` lines are the asynchronous commands.
 */

export interface Case {
  readonly name: string;
  /** Input lines as written, comments included. */
  readonly source: readonly string[];
  /** Set-up lines in words, each with the text of the lines below it. */
  readonly setup: readonly { readonly words: readonly string[]; readonly text: string }[];
  readonly args: readonly string[];
  readonly stdin: string;
  readonly keepLines: number;
  readonly requires: readonly string[];
  /** For a sequence of events: the image options, the commands run first and the requests. */
  readonly opts: string | null;
  readonly setupCommands: readonly string[];
  readonly requests: readonly string[];
  /** The golden lines, or empty if there are none yet. */
  readonly golden: readonly string[];
}

export interface CaseFile {
  readonly header: readonly string[];
  readonly cases: readonly Case[];
}

/** The outcome of a case, before it is made into lines. */
export interface Recorded {
  readonly stdout: string;
  readonly stderr: string;
  readonly changes: readonly string[];
  readonly exit: string;
}

const golden = /^(?:[>!]\.? |[>!]\.?$|~ |= )/;
const recordedWith = '# recorded with ';

/** Splits a line into words as a shell does: blanks separate, single and double quotes keep them. */
function splitWords(line: string): string[] {
  const words: string[] = [];
  for (const match of line.matchAll(/(?:[^\s'"]+|'[^']*'|"[^"]*")+/g)) {
    words.push(
      match[0].replaceAll(/'([^']*)'|"([^"]*)"/g, (_all, single?: string, double?: string) => single ?? double ?? ''),
    );
  }
  return words;
}

interface Inputs {
  setup: { words: string[]; text: string }[];
  args: string[];
  stdin: string;
  keepLines: number;
  requires: string[];
  opts: string | null;
  setupCommands: string[];
  requests: string[];
}

/** The lines that prepare the sandbox. */
const setupWords: ReadonlySet<string> = new Set(
  (
    'image fill bytes file dir link luks qcow2 qcow qed ' +
    'vmdk zeroedVmdk streamVmdk footerVmdk sparseExtent cowd seSparse'
  ).split(' '),
);

function readInput(line: string, inputs: Inputs, where: string): void {
  const [word = '', ...rest] = splitWords(line);
  const tail = line.slice(word.length + 1);
  if (line.startsWith('| ') || line === '|') {
    const file = inputs.setup.at(-1);
    if (file === undefined) throw new Error(`${where}: text without a file`);
    file.text += `${line.slice(2).replaceAll(/\\x([0-9a-f]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))}\n`;
  } else if (line.startsWith('< ') || line === '<') inputs.stdin += `${line.slice(2)}\n`;
  else if (setupWords.has(word)) inputs.setup.push({ words: [word, ...rest], text: '' });
  else if (word === 'args') inputs.args.push(...rest);
  else if (word === 'keep') inputs.keepLines = Number(rest[0]);
  else if (word === 'requires') inputs.requires.push(...rest);
  else if (word === 'opts') inputs.opts = tail;
  else if (word === 'setup') inputs.setupCommands.push(tail);
  else if (word === 'request') inputs.requests.push(tail);
  else throw new Error(`${where}: cannot read ${JSON.stringify(line)}`);
}

function isComment(line: string): boolean {
  return line === '' || line.startsWith('# ') || line === '#';
}

/** Reads a file of cases. A case's own `args` or `opts` replace the defaults; set-up and the rest add to them. */
export function parseCaseFile(text: string, filename: string): CaseFile {
  const lines = text.split('\n');
  const blocks: { name: string; lines: string[] }[] = [{ name: '', lines: [] }];
  for (const line of lines) {
    if (line.startsWith('## ')) blocks.push({ name: line.slice(3), lines: [] });
    else blocks.at(-1)?.lines.push(line);
  }
  const header = (blocks.shift()?.lines ?? []).filter((line) => !line.startsWith(recordedWith));
  const seen = new Set<string>();
  const cases = blocks.map(({ name, lines: body }): Case => {
    if (seen.has(name)) throw new Error(`${filename}: two cases are named ${JSON.stringify(name)}`);
    seen.add(name);
    const inputs: Inputs = {
      setup: [],
      args: [],
      stdin: '',
      keepLines: Infinity,
      requires: [],
      opts: null,
      setupCommands: [],
      requests: [],
    };
    const source = body.filter((line) => !golden.test(line));
    const own = (word: string) => source.some((line) => line === word || line.startsWith(`${word} `));
    const replaced = own('args') || own('opts');
    for (const line of header) {
      if (isComment(line) || (replaced && /^(args|opts) /.test(line))) continue;
      readInput(line, inputs, filename);
    }
    for (const line of source) if (!isComment(line)) readInput(line, inputs, `${filename}: ${name}`);
    while (source.at(-1) === '') source.pop();
    return { name, source, ...inputs, golden: body.filter((line) => golden.test(line)) };
  });
  return { header, cases };
}

function streamLines(mark: string, text: string): string[] {
  if (text === '') return [];
  const lines = text.split('\n');
  const last = lines.pop() ?? '';
  const out = lines.map((line) => (line === '' ? mark : `${mark} ${line}`));
  if (last !== '') out.push(`${mark}. ${last}`);
  return out;
}

/** The golden lines of a result. */
export function goldenLines({ stdout, stderr, changes, exit }: Recorded): string[] {
  return [
    ...streamLines('>', stdout),
    ...streamLines('!', stderr),
    ...changes.map((change) => `~ ${change}`),
    `= ${exit}`,
  ];
}

/** The whole file with golden lines put in place of those that were read. */
export function renderCaseFile(file: CaseFile, version: string, results: readonly (readonly string[])[]): string {
  const header = [...file.header];
  while (header[0] === '') header.shift();
  while (header.at(-1) === '') header.pop();
  const blocks = file.cases.map((one, index) =>
    [`## ${one.name}`, ...one.source, ...(results[index] ?? one.golden), ''].join('\n'),
  );
  return [`${recordedWith}${version}`, ...header, '', blocks.join('\n')].join('\n');
}

/** The golden lines of another version by the names of their cases: only of those whose answers are others. */
export function parseGolden(text: string): Map<string, string[]> {
  const blocks = text.split(/^## /m).slice(1);
  return new Map(
    blocks.map((block) => {
      const [name = '', ...lines] = block.split('\n');
      return [name, lines.filter((line) => golden.test(line))];
    }),
  );
}

/** The file that `parseGolden` reads; empty if all answers are those of the cases. */
export function renderGolden(file: CaseFile, version: string, results: readonly (readonly string[])[]): string {
  const blocks = file.cases.flatMap((one, index) => {
    const lines = results[index];
    if (lines === undefined || lines.join('\n') === one.golden.join('\n')) return [];
    return [[`## ${one.name}`, ...lines, ''].join('\n')];
  });
  return blocks.length === 0 ? '' : [`${recordedWith}${version}`, '', blocks.join('\n')].join('\n');
}
