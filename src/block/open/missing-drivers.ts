/** Drivers that QEMU has and blkscope has not: named as such, and not as unknown. */
import { Errno } from '../../util/errno.ts';
import { BlockError } from '../error.ts';

/** Names of drivers, and the prefixes of file names that ask for one. */
const missing: ReadonlySet<string> = new Set(
  (
    'replication vvfat fat ' +
    'ftp ftps http https gluster gluster+rdma gluster+tcp gluster+unix iscsi iser nfs nvme rbd ssh'
  ).split(' '),
);

/** The failure for a driver or a protocol that is not there; `unknown` is QEMU's text for one that it does not know. */
export function noDriver(name: string, unknown: string, errno: number = Errno.ENOENT): BlockError {
  return missing.has(name)
    ? new BlockError(Errno.ENOTSUP, `blkscope has no driver for '${name}' yet`)
    : new BlockError(errno, unknown);
}
