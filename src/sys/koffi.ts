/** koffi, which calls C functions: the one door to the host's libraries. */
import { loadNow } from '../util/load-now.ts';

type Koffi = typeof import('koffi');

/**
 * koffi, or what kept it from being loaded as an exception.
 *
 * Its own entry reads Node's ELF header and resolves packages to find its native part, which every start would feel.
 * Where it lies for this host is known (observed with koffi 3.3.4), so that is tried first; on a host with another C
 * library, or after a change of koffi's layout, koffi looks for itself.
 */
export function loadKoffi(): Koffi {
  const host = `${process.platform}-${process.arch}`;
  try {
    return loadNow(`@koromix/koffi-${host}/${host.replace('-', '_')}/koffi.node`) as Koffi;
  } catch {
    return loadNow('koffi') as Koffi;
  }
}
