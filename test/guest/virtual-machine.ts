/** A virtual machine, emulated without the processor's help, whose first process runs what a test tells it to. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Transcript } from '../cli/live-program.ts';
import type { MachineParts } from './machine-parts.ts';

const MEMORY_MIB = 256;

/** A running guest. */
export class VirtualMachine {
  readonly #child: ChildProcess;
  /** All that the guest and QEMU said. */
  readonly console = new Transcript();
  readonly exit: Promise<string>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    const listen = (data: Buffer): void => this.console.add(data.toString('latin1'));
    child.stdout?.on('data', listen);
    child.stderr?.on('data', listen);
    this.exit = new Promise((resolve) => {
      child.on('close', (status, signal) => {
        this.console.end();
        resolve(signal ?? String(status));
      });
    });
  }

  /** Boots a guest whose disk is an export. Errors of the disk are reported to the guest, ENOSPC, too. */
  static withDisk(parts: MachineParts, folder: string, diskUri: string): Promise<VirtualMachine> {
    const drive = `file=${diskUri},format=raw,if=none,id=disk,cache=none,discard=unmap,werror=report,rerror=report`;
    return VirtualMachine.#boot(parts, folder, ['-drive', drive, '-device', 'virtio-blk-pci,drive=disk']);
  }

  /** Boots a guest without a disk that reaches the host at 10.0.2.2. */
  static withNetwork(parts: MachineParts, folder: string): Promise<VirtualMachine> {
    return VirtualMachine.#boot(parts, folder, ['-nic', 'user,model=virtio-net-pci']);
  }

  static async #boot(parts: MachineParts, folder: string, devices: readonly string[]): Promise<VirtualMachine> {
    const initramfs = path.join(folder, 'initramfs.cpio');
    writeFileSync(initramfs, parts.initramfs);
    const machine = ['-accel', 'tcg', '-m', String(MEMORY_MIB), '-nodefaults', '-no-user-config', '-no-reboot'];
    const console = ['-display', 'none', '-serial', 'stdio'];
    // The kernel's check of the timer fails where the host is too busy to emulate it in time.
    const commandLine = 'console=ttyS0 quiet panic=-1 no_timer_check';
    const boot = ['-kernel', parts.kernel, '-initrd', initramfs, '-append', commandLine];
    const args = [...machine, ...console, ...boot, ...devices];
    const guest = new VirtualMachine(spawn('qemu-system-x86_64', args, { cwd: folder, stdio: 'pipe' }));
    await guest.console.until('\nready\n');
    return guest;
  }

  /** Runs a line of the guest's shell; what it printed. Fails if its status is not 0. */
  async run(line: string): Promise<string> {
    const from = this.console.text.length;
    this.#child.stdin?.write(`${line}\n`);
    await this.console.until('\nstatus ');
    await this.console.until('\n');
    const said = this.console.text.slice(from);
    const end = said.lastIndexOf('\nstatus ');
    const status = said.slice(end + '\nstatus '.length).trim();
    if (status !== '0') throw new Error(`the guest's '${line}' ended with ${status}:\n${said}`);
    return said.slice(0, end).trim();
  }

  /** Turns the guest off; the exit status of QEMU. */
  async powerOff(): Promise<string> {
    this.#child.stdin?.write('poweroff -f\n');
    return this.exit;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
