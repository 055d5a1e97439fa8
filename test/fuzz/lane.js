/** Runs cases one after the other in a folder of its own, and looks at what they left there. */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { verdict } from './verdict.js';
import { Worker } from './worker.js';

/** @typedef {import('./verdict.js').Case} Case */
/** @typedef {{ name: string, what: string, after: string[] }} Find `after`: the cases before it, if it needs them. */

/** A fresh process after so many cases: what one leaves behind cannot add up for ever, and a find has few before it. */
const CASES_PER_WORKER = 250;

/** Memory, where there is a file system in it: the cases are about the program, not about a disk. */
function scratchParent() {
  return process.env.TMPDIR === undefined && statSync('/dev/shm', { throwIfNoEntry: false })?.isDirectory()
    ? '/dev/shm'
    : tmpdir();
}

export class Lane {
  #folder = mkdtempSync(path.join(scratchParent(), 'blkscope-fuzz-'));
  /** By their arguments. @type {Map<string, Worker>} */
  #workers = new Map();
  /** Which cases each has run. @type {WeakMap<Worker, string[]>} */
  #history = new WeakMap();

  /** @param {Case} one @returns {Promise<Find | null>} */
  async run(one) {
    if (one.isAlone === true) {
      const what = await this.#runAlone(one);
      return what === null ? null : { name: one.name, what, after: [] };
    }
    const worker = await this.#workerFor(one.args);
    const before = this.#history.get(worker) ?? [];
    const what = await this.#runIn(worker, one);
    before.push(one.name);
    if (what === null) return null;
    await this.#retire(one.args);
    const again = await this.#runIn(await this.#workerFor(one.args), one);
    await this.#retire(one.args);
    return { name: one.name, what: again ?? what, after: again === null ? before.slice(0, -1) : [] };
  }

  /** @param {readonly string[]} args */
  async #workerFor(args) {
    const key = args.join('\0');
    const present = this.#workers.get(key);
    if (present?.isAlive === true && present.casesRun < CASES_PER_WORKER) return present;
    await this.#retire(args);
    const worker = await Worker.start(args, this.#folder);
    this.#workers.set(key, worker);
    this.#history.set(worker, []);
    return worker;
  }

  /** @param {readonly string[]} args */
  async #retire(args) {
    const key = args.join('\0');
    await this.#workers.get(key)?.stop();
    this.#workers.delete(key);
  }

  /** Lays out the files of a case, and nothing else. @param {Case} one */
  #prepare(one) {
    for (const name of readdirSync(this.#folder)) rmSync(path.join(this.#folder, name), { recursive: true });
    for (const { name, data } of one.files) writeFileSync(path.join(this.#folder, name), data);
    return one.files.map(({ name }) => statSync(path.join(this.#folder, name), { bigint: true }).mtimeNs);
  }

  /** The name of a file that is not as it was; null if all are. @param {Case} one @param {bigint[]} times */
  #changed(one, times) {
    for (const [index, { name, data }] of one.files.entries()) {
      const file = path.join(this.#folder, name);
      const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
      if (stat === undefined || stat.mtimeNs !== times[index] || !readFileSync(file).equals(data)) return name;
    }
    return null;
  }

  /** The complaint about a case, or null. @param {Worker} worker @param {Case} one */
  async #runIn(worker, one) {
    const times = this.#prepare(one);
    worker.casesRun += 1;
    if (one.open !== null) {
      const opened = await worker.run([one.open]);
      const wrong = verdict(opened, worker.idleBytes);
      if (wrong !== null) return `${one.open.slice(0, 100)}: ${wrong}`;
      if (opened.stderr.includes("can't open")) return this.#afterRefusal(one, times, opened.stderr);
    }
    const reply = await worker.run([...one.lines, 'bail off', 'close']);
    const wrong = verdict(reply, worker.idleBytes);
    if (wrong !== null || !one.isReadOnly) return wrong;
    const name = this.#changed(one, times);
    return name === null ? null : `${name} was opened for reading only, and changed`;
  }

  /** @param {Case} one @param {bigint[]} times @param {string} said */
  #afterRefusal(one, times, said) {
    // QEMU does so, too: a dirty image is repaired as far as that goes, and bitmaps are marked as in use.
    if (!one.isReadOnly && (/Repairing|ERROR|Leaked/.test(said) || one.files.some(changesWhenOpened))) return null;
    const name = this.#changed(one, times);
    return name === null ? null : `${name} was refused, and changed`;
  }

  /** @param {Case} one */
  async #runAlone(one) {
    this.#prepare(one);
    const worker = new Worker(one.args, this.#folder);
    return verdict(await worker.runToEnd(one.lines), 0);
  }

  /** Lays out the files of a case for people, with its script. @param {Case} one @param {string} folder */
  static keep(one, folder) {
    const target = path.join(folder, one.name.replaceAll(' ', '-'));
    mkdirSync(target, { recursive: true });
    for (const { name, data } of one.files) writeFileSync(path.join(target, name), data);
    const lines = [...(one.open === null ? [] : [one.open]), ...one.lines, ''];
    writeFileSync(path.join(target, 'script'), lines.join('\n'), 'latin1');
    writeFileSync(path.join(target, 'arguments'), JSON.stringify(one.args));
  }

  async end() {
    for (const worker of this.#workers.values()) await worker.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/**
 * Whether opening it for writing changes its header: it is dirty, or has bits that are cleared then.
 * @param {{ data: Buffer }} file
 */
function changesWhenOpened({ data }) {
  return data.length >= 96 && ((data[79] ?? 0) % 2 === 1 || data.readBigUInt64BE(88) !== 0n);
}
