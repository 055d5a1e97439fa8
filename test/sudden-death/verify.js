/** Checks that hold for a disk whose program was killed. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { imageName, isDirty } from './images.js';
import { SECTOR_BYTES } from './model.js';
import { modelAfter } from './script.js';

/**
 * @typedef {import('./images.js').Disk} Disk
 * @typedef {import('./script.js').Step} Step
 */

const program = fileURLToPath(new URL('../../bin/blkscope.js', import.meta.url));

/**
 * The fault of the disk in a sentence, or null. Repairs it where its next user would. `repairsBy` says
 * whose opening repairs a dirty image.
 * @param {Disk} disk @param {string} folder @param {readonly Step[]} steps @param {readonly string[]} replies
 * @param {'blkscope' | 'qemu-io'} repairsBy
 */
export function findDamage(disk, folder, steps, replies, repairsBy) {
  return (
    findBadReply(steps, replies) ??
    findBrokenMetadata(disk, folder, repairsBy) ??
    findWrongData(disk, folder, steps, replies) ??
    findWrongSnapshot(disk, folder)
  );
}

/** A command that should have succeeded. @param {readonly Step[]} steps @param {readonly string[]} replies */
function findBadReply(steps, replies) {
  const index = replies.findIndex((reply) => /failed|error/i.test(reply));
  return index < 0 ? null : `"${steps[index]?.line}" was answered: ${replies[index]}`;
}

/** @param {Disk} disk @param {string} folder @param {'blkscope' | 'qemu-io'} repairsBy */
function findBrokenMetadata(disk, folder, repairsBy) {
  if (disk.format !== 'qcow2') return null;
  const name = imageName(disk);
  if (isDirty(disk, folder)) {
    const opened =
      repairsBy === 'qemu-io'
        ? run(folder, 'qemu-io', '-f', 'qcow2', '-c', 'quit', name)
        : run(folder, process.execPath, program, '-f', 'qcow2', '-c', 'quit', name);
    if (opened.status !== 0) return `${repairsBy} cannot repair the dirty image:\n${opened.text}`;
    if (isDirty(disk, folder)) return `${repairsBy} left the image dirty`;
  }
  const check = run(folder, 'qemu-img', 'check', '-f', 'qcow2', name);
  // 3: clusters leak, and nothing worse.
  if (check.status !== 0 && check.status !== 3) return `qemu-img check: ${check.status}\n${check.text}`;
  if (check.status === 0) return null;
  const repair = run(folder, 'qemu-img', 'check', '-r', 'leaks', '-f', 'qcow2', name);
  return repair.status === 0 ? null : `qemu-img check -r leaks: ${repair.status}\n${repair.text}`;
}

/** @param {Disk} disk @param {string} folder @param {readonly Step[]} steps @param {readonly string[]} replies */
function findWrongData(disk, folder, steps, replies) {
  const name = imageName(disk);
  // What cannot be read is salvaged as zeroes: only clusters that were given back may be unreadable.
  const read = run(folder, 'qemu-img', 'convert', '--salvage', '-f', disk.format, '-O', 'raw', name, 'contents.raw');
  if (read.status !== 0) return `qemu-img cannot read it:\n${read.text}`;
  const contents = readFileSync(path.join(folder, 'contents.raw'));
  const model = modelAfter(disk, steps, replies);
  const sectors = disk.maxBytes / SECTOR_BYTES;
  const whole = Buffer.concat([contents], sectors * SECTOR_BYTES);
  return violationIn(whole, model) ?? findOtherReading(disk, folder, contents, model);
}

/**
 * A sentence about the first sector that holds what it must not.
 * @param {Buffer} contents
 * @param {import('./model.js').Model} model
 */
function violationIn(contents, model) {
  return model.endRead(model.beginRead(0, contents.length), contents)?.text ?? null;
}

/**
 * Whether blkscope itself reads what qemu-img has read, where that is certain and so readable.
 * @param {Disk} disk @param {string} folder @param {Buffer} contents @param
 *   {import('./model.js').Model} model
 */
function findOtherReading(disk, folder, contents, model) {
  /** @param {number} offset */
  const isOpen = (offset) => model.allowedAt(offset).some(({ kind }) => kind === 'anything');
  const commands = [];
  for (let start = 0; start < contents.length; ) {
    let end = start + SECTOR_BYTES;
    if (isOpen(start)) {
      start = end;
      continue;
    }
    while (end < contents.length && contents[end] === contents[start] && !isOpen(end)) end += SECTOR_BYTES;
    commands.push(`read -q -P ${contents[start] ?? 0} ${start} ${Math.min(end, contents.length) - start}`);
    start = end;
  }
  const input = `${commands.join('\n')}\n`;
  const args = [program, '-r', '-f', disk.format, imageName(disk)];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: folder, input, encoding: 'utf8' });
  const said = stdout.replaceAll('qemu-io> ', '') + stderr;
  return said === '' && status === 0 ? null : `blkscope reads it otherwise than qemu-img (status ${status}):\n${said}`;
}

/** @param {Disk} disk @param {string} folder */
function findWrongSnapshot(disk, folder) {
  if (!disk.hasSnapshot || disk.before === null) return null;
  const from = ['-f', 'qcow2', '-l', 'snapshot.name=before', imageName(disk)];
  const read = run(folder, 'qemu-img', 'convert', ...from, '-O', 'raw', 'snapshot.raw');
  if (read.status !== 0) return `qemu-img cannot read the snapshot:\n${read.text}`;
  const fd = openSync(path.join(folder, 'snapshot.raw'), 'r');
  const contents = Buffer.alloc(disk.lengthBytes);
  const count = readSync(fd, contents);
  closeSync(fd);
  const isWhole = count === disk.lengthBytes && contents.equals(Buffer.alloc(disk.lengthBytes, disk.before));
  return isWhole ? null : 'the snapshot has changed';
}

/** @param {string} folder @param {string} command @param {string[]} args */
function run(folder, command, ...args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
  if (error !== undefined) throw error;
  return { status, text: stdout + stderr };
}
