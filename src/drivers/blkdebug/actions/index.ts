/** The kinds of faults, and the factory that makes a rule of one. */
import type { FaultKind } from '../../../block/debug/rules.ts';
import type { RuleSettings } from '../rules/settings.ts';
import { badSector } from './bad-sector.ts';
import { corrupt } from './corrupt.ts';
import { drop } from './drop.ts';
import type { Fault, FaultRule } from './fault.ts';
import { fsyncOnce } from './fsync-once.ts';
import { hang } from './hang.ts';
import { misdirect } from './misdirect.ts';
import { tear } from './tear.ts';

/** By kind, in the order in which they are listed. */
export const faults: Readonly<Record<FaultKind, Fault>> = {
  hang,
  drop,
  tear,
  corrupt,
  misdirect,
  'bad-sector': badSector,
  'fsync-once': fsyncOnce,
};

/** Whether a kind of rule is a fault. */
export function isFaultKind(kind: string): kind is FaultKind {
  return Object.hasOwn(faults, kind);
}

/** Makes a rule of a kind. EINVAL for settings that make no sense. */
export function makeFault(kind: FaultKind, settings: RuleSettings): FaultRule {
  return faults[kind].make(settings);
}
