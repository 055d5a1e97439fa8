/** An archive that the Linux kernel unpacks as its first file system: cpio of the format "newc". */

const ALIGNMENT = 4;
const DIRECTORY = 0o040755;
const EXECUTABLE = 0o100755;

/** A cpio archive of executable files by path, without a leading slash, and of the folders above them. */
export function cpioArchive(files: ReadonlyMap<string, Buffer>): Buffer {
  const parts: Buffer[] = [];
  const seen = new Set<string>();
  const add = (name: string, mode: number, data: Buffer): void => {
    seen.add(name);
    parts.push(entry(name, mode, data, parts.length));
  };
  for (const [path, data] of files) {
    const folders = path.split('/').slice(0, -1);
    folders.forEach((_, index) => {
      const folder = folders.slice(0, index + 1).join('/');
      if (!seen.has(folder)) add(folder, DIRECTORY, Buffer.alloc(0));
    });
    add(path, EXECUTABLE, data);
  }
  add('TRAILER!!!', 0, Buffer.alloc(0));
  return Buffer.concat(parts);
}

function entry(name: string, mode: number, data: Buffer, inode: number): Buffer {
  const nameBytes = Buffer.byteLength(name) + 1;
  const hasLinks = (mode & 0o170000) === 0o040000 ? 2 : 1;
  // inode, mode, user, group, links, time, length, device, device number, length of the name, checksum
  const fields = [inode, mode, 0, 0, hasLinks, 0, data.length, 0, 0, 0, 0, nameBytes, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`;
  return Buffer.concat([padded(Buffer.from(header)), padded(data)]);
}

function padded(data: Buffer): Buffer {
  const rest = data.length % ALIGNMENT;
  return rest === 0 ? data : Buffer.concat([data, Buffer.alloc(ALIGNMENT - rest)]);
}
