/** Persistent dirty bitmaps. */
import type { SpecificValue } from '../../block/driver.ts';
import type { CheckState } from './check.ts';
import type { Qcow2Image } from './image.ts';

export interface PersistentBitmaps { readonly count: number }

export async function loadBitmaps(_image: Qcow2Image): Promise<boolean> { return false; }
export async function storeBitmaps(_image: Qcow2Image): Promise<boolean> { return true; }
export async function checkTruncate(_image: Qcow2Image): Promise<void> {}
export function bitmapInfo(_image: Qcow2Image): SpecificValue[] { return []; }
export async function storeBitmapsReadOnly(_image: Qcow2Image): Promise<void> {}
export async function countBitmaps(_image: Qcow2Image, _state: CheckState): Promise<void> {}
