/**
 * The parts of a virtual machine: QEMU, tools for ext4, and out of Debian's packages, unpacked in `GUEST_PACKAGES`, the
 * kernel with its modules and a shell (`linux-image-cloud-amd64` or `linux-image-amd64`, and `busybox-static`), and, if
 * they are there, the kernel's NBD client with its libraries (`nbd-client`, `libnl-3-200`, `libnl-genl-3-200`).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { cpioArchive } from './cpio.ts';

/** Drivers of the disk, of its file system where the kernel does not have it built in, of the network, of NBD. */
const wantedModules = ['virtio_pci', 'virtio_blk', 'crc32c_generic', 'ext4', 'virtio_net', 'nbd'];
const hostTools = ['qemu-system-x86_64', 'qemu-img', 'qemu-io', 'mke2fs', 'debugfs', 'e2fsck', 'ldd'];
const toolFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** The files of a machine. */
export interface MachineParts {
  readonly kernel: string;
  /** The guest's first file system, as the kernel reads it. */
  readonly initramfs: Buffer;
  /** The guest has `nbd-client`. */
  readonly hasNbdClient: boolean;
}

/** The path of a program of the host; null if it is not there. */
export function toolPath(name: string): string | null {
  return toolFolders.map((folder) => path.join(folder, name)).find(existsSync) ?? null;
}

/** The parts, or the reason why there is no machine. */
export function findMachineParts(packages: string | undefined): MachineParts | string {
  const missing = hostTools.filter((name) => toolPath(name) === null);
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`;
  if (packages === undefined) return 'GUEST_PACKAGES names no folder with a kernel and busybox';
  const kernelName = readdirSync(path.join(packages, 'boot')).find((name) => name.startsWith('vmlinuz-'));
  if (kernelName === undefined) return `no kernel in ${packages}/boot`;
  const busybox = path.join(packages, 'bin/busybox');
  if (!existsSync(busybox)) return `no ${busybox}`;

  const files = new Map<string, Buffer>();
  const add = (target: string, source: string) => files.set(target, readFileSync(source));
  add('init', path.join(import.meta.dirname, 'init.sh'));
  add('bin/busybox', busybox);
  const libraries = path.join(packages, 'lib/x86_64-linux-gnu');
  const nbdClient = path.join(packages, 'sbin/nbd-client');
  const hasNbdClient = existsSync(nbdClient);
  for (const program of [toolPath('mke2fs') ?? '', ...(hasNbdClient ? [nbdClient] : [])]) {
    add(`sbin/${path.basename(program)}`, program);
    for (const library of librariesOf(program, libraries)) {
      // The loader is found by its whole path, the others in the folder.
      add(library.startsWith('/lib64/') ? library.slice(1) : `lib/${path.basename(library)}`, library);
    }
  }
  const modules = modulesIn(path.join(packages, 'lib/modules', kernelName.slice('vmlinuz-'.length)));
  for (const [name, file] of modules) add(`modules/${name}`, file);
  files.set('modules/order', Buffer.from(`${[...modules.keys()].join('\n')}\n`));
  return { kernel: path.join(packages, 'boot', kernelName), initramfs: cpioArchive(files), hasNbdClient };
}

/** The libraries that a program loads, by path: those of the host, and of this folder. */
function librariesOf(program: string, folder: string): string[] {
  const env = { ...process.env, LD_LIBRARY_PATH: folder };
  const { stdout } = spawnSync('ldd', [program], { encoding: 'utf8', env });
  return [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, library = '']) => library);
}

/** The wanted modules by file name, each behind those that it needs. What the kernel has built in is left out. */
function modulesIn(folder: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (file.endsWith('.ko')) found.set(path.basename(file, '.ko').replaceAll('-', '_'), path.join(folder, file));
  }
  const ordered = new Map<string, string>();
  const need = (name: string): void => {
    const file = found.get(name);
    if (file === undefined || ordered.has(`${name}.ko`)) return;
    for (const other of neededBy(file)) need(other);
    ordered.set(`${name}.ko`, file);
  };
  wantedModules.forEach(need);
  return ordered;
}

/** The modules that one says it depends on, in its section `.modinfo`. */
function neededBy(file: string): string[] {
  const text = /\0depends=([^\0]*)\0/.exec(readFileSync(file, 'latin1'))?.[1] ?? '';
  return text.split(',').map((name) => name.replaceAll('-', '_'));
}
