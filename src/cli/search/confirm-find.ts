/** Runs a find in another program, on a copy of the image, and judges what that has made of it. */
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { invalidArgument } from '../../block/error.ts';
import { type Baseline, lookAfter } from '../../search/aftermath.ts';
import type { Judged } from '../../search/judge.ts';
import type { FindScript } from '../../search/strategy.ts';
import { type Verdict, verdictOn } from '../../search/verdict.ts';
import type { Invocation } from '../command-line.ts';
import { copyFiles, writeDisks } from './case-files.ts';
import { findWords } from './find-words.ts';
import { worldOf } from './prepare-search.ts';

/** A program that has not ended by then hangs. */
const HANGS_AFTER_MS = 10_000;
/** The beginning of an image, where it names other files. */
const HEADER_BYTES = 64 << 10;
/** Of what the program says. */
const SAID_MAX_CHARS = 1 << 20;

/** A find to be confirmed. */
export interface Suspicion {
  readonly program: string;
  /** Words of the search's command line for the program. */
  readonly words: readonly string[];
  readonly invocation: Invocation;
  readonly script: FindScript;
  readonly judged: Judged;
  readonly baseline: Baseline;
}

/** The answer of the program. */
export interface Confirmation {
  readonly isConfirmed: boolean;
  /** Its doings in a sentence. */
  readonly text: string;
}

/** Throws BlockError if the program cannot be run. The files of the user are copied, never written. */
export async function confirmFind(suspicion: Suspicion): Promise<Confirmation> {
  const folder = mkdtempSync(path.join(tmpdir(), 'blkscope-confirm-'));
  try {
    return await confirmIn(folder, suspicion);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function confirmIn(folder: string, suspicion: Suspicion): Promise<Confirmation> {
  const { program, words, invocation, script, judged } = suspicion;
  const { disks } = judged.finished;
  const names = disks.all.map((disk) => disk.path);
  const place = path.join(folder, 'files');
  const copies = script.files === undefined ? copyFiles(names, place) : writeDisks(script.files, place);
  const renamed = (name: string): string => copies.get(name) ?? name;
  // Named by the image itself, and not from where it lies: the program would write to the user's file.
  const fixed = names.find((name, number) => disks.changed.has(number) && isNamedIn(name, names[0] ?? ''));
  if (fixed !== undefined) return { isConfirmed: false, text: `not run: the image names ${fixed} by its full path` };
  const rules = path.join(folder, 'rules.conf');
  const commands = path.join(folder, 'commands');
  writeFileSync(rules, script.rules);
  writeFileSync(commands, script.lines.map((line) => `${line}\n`).join(''));
  const programWords = findWords(words, invocation, script.rules === '' ? '' : rules, renamed);
  if (programWords === null) return { isConfirmed: false, text: 'not run: the scenario has rules of its own' };
  const ended = await runProgram(program, programWords, commands);
  if (script.files !== undefined) {
    const name = path.basename(program);
    if (ended.stdout === '' && ended.stderr === '') return { isConfirmed: false, text: `${name}: says nothing` };
    if (/Pattern verification failed/.test(ended.stdout)) {
      return { isConfirmed: false, text: `${name}: reads something else` };
    }
  }
  const verdict = await verdictOf(ended, suspicion, renamed);
  const isConfirmed = verdict.name === judged.verdict.name;
  const detail = verdict.detail === '' ? '' : `: ${verdict.detail}`;
  return { isConfirmed, text: `${path.basename(program)}: ${verdict.name}${detail}` };
}

function isNamedIn(name: string, image: string): boolean {
  if (name === image || !path.isAbsolute(name)) return false;
  const header = Buffer.alloc(HEADER_BYTES);
  const fd = openSync(image, 'r');
  readSync(fd, header, 0, header.length, 0);
  closeSync(fd);
  return header.includes(name);
}

/** A program that has ended. */
interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
  readonly signal: string | null;
  readonly wasKilled: boolean;
}

function runProgram(program: string, words: readonly string[], commands: string): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const input = openSync(commands, 'r');
    const child = spawn(program, words, { stdio: [input, 'pipe', 'pipe'] });
    closeSync(input);
    let stdout = '';
    let stderr = '';
    let wasKilled = false;
    const timer = setTimeout(() => {
      wasKilled = true;
      child.kill('SIGKILL');
    }, HANGS_AFTER_MS);
    child.stdout?.on('data', (chunk: Buffer) => {
      if (stdout.length < SAID_MAX_CHARS) stdout += chunk.toString();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      if (stderr.length < SAID_MAX_CHARS) stderr += chunk.toString();
    });
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(invalidArgument(`Could not run '${program}': ${error.message}`));
    });
    child.on('close', (status, signal) => {
      clearTimeout(timer);
      resolve({ stdout: stdout.replaceAll('qemu-io> ', ''), stderr, status, signal, wasKilled });
    });
  });
}

/** The work of the program by the measures of the search. */
async function verdictOf(
  { stdout, stderr, signal, wasKilled }: Ended,
  { judged, baseline, invocation }: Suspicion,
  renamed: (name: string) => string,
): Promise<Verdict> {
  if (wasKilled) return { name: 'hung', detail: `killed after ${HANGS_AFTER_MS / 1000} s`, mark: '' };
  if (signal !== null) return { name: 'crashed', detail: `${signal} ${firstLine(stderr)}`.trim(), mark: '' };
  const file = findWords([invocation.file ?? ''], invocation, '', renamed)?.at(-1) ?? null;
  const world = worldOf({ ...invocation, file, blkdebug: false });
  const disks = world.disks(false);
  const after = await lookAfter(world, disks, judged.expected);
  disks.release();
  world.close();
  const { finished, verdict } = judged;
  // A read that dumps its data and says the same has read the same.
  const isReadWrong =
    verdict.name === 'wrong data' && withoutTimes(stdout) === withoutTimes(finished.transcript.stdout);
  const said = `${stdout}${stderr}`;
  const isSilent = stderr === '' && !/failed/.test(stdout);
  const journal = isSilent ? finished.journal.filter(({ kind }) => kind === 'injected') : [];
  const violations = isReadWrong && after.violation === null ? [{ offset: 0, text: 'as here', isPast: false }] : [];
  const theirs = verdictOn({ finished: { ...finished, journal, hung: [], crash: null }, violations, after, baseline });
  return theirs.name === 'sound' ? { ...theirs, detail: firstLine(said) } : theirs;
}

function withoutTimes(text: string): string {
  return text.replaceAll(/; .* ops\/sec\)/g, '');
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
