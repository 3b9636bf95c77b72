import type { HoldMode } from '../ipfs/connector.ts';
import { toV1 } from '../model/cid.ts';
import { isAllocatedTo, type Pin } from '../model/pin.ts';
import type { Pinset, StoredPin } from '../pinset/pinset.ts';
import { unlessCorrupt } from '../pinset/rows.ts';
import { isUnpin, type StatusRow } from './status-row.ts';

/** What the pinset wants of this peer's node for one CID. */
export type Wanted =
  | {
      readonly kind: 'pin';
      readonly mode: HoldMode;
      readonly origins: readonly string[];
      /** Who else is to hold it; empty: everybody. */
      readonly allocations: readonly string[];
      /** When the newest claim was created. */
      readonly createdMs: number;
      /** What it replaced (CID in version 1), if a recursive pin did; by the newest claim that says so. */
      readonly updates: Uint8Array | undefined;
    }
  /** Claimed, but not here. */
  | { readonly kind: 'remote' }
  /** Claimed by nobody. */
  | { readonly kind: 'none' };

/** Undefined: a row of it is damaged, so nobody knows. When that is repaired the pinset's feed names it. */
export function wantedIn(pinset: Pick<Pinset, 'claims'>, cid: Uint8Array, peerId: string): Wanted | undefined {
  return unlessCorrupt(() => wanted(pinset.claims(cid), peerId));
}

export function wanted(claims: readonly StoredPin[], peerId: string): Wanted {
  const here = claims.filter(({ pin }) => isAllocatedTo(pin, peerId));
  if (here.length === 0) return { kind: claims.length === 0 ? 'none' : 'remote' };
  const pins = here.map(({ pin }) => pin);
  const isEverywhere = pins.some(({ allocations }) => allocations.length === 0);
  return {
    kind: 'pin',
    mode: pins.some(({ mode }) => mode === 'recursive') ? 'recursive' : 'direct',
    origins: union(pins.map(({ origins }) => origins)),
    allocations: isEverywhere ? [] : union(pins.map(({ allocations }) => allocations)),
    createdMs: Math.max(...pins.map(({ createdMs }) => createdMs)),
    updates: replacedBy(pins),
  };
}

function replacedBy(pins: readonly Pin[]): Uint8Array | undefined {
  let newest: Pin | undefined;
  for (const pin of pins) {
    if (pin.mode !== 'recursive' || pin.updatedFrom === undefined) continue;
    if (newest === undefined || pin.createdMs > newest.createdMs) newest = pin;
  }
  return newest?.updatedFrom && toV1(newest.updatedFrom);
}

function union(lists: readonly (readonly string[])[]): readonly string[] {
  const [first = []] = lists;
  return lists.length === 1 ? first : [...new Set(lists.flat())];
}

/**
 * Why a wish is looked at.
 *   changed  the pinset changed, or somebody asked for it: what failed is tried now
 *   seen     in passing: what waits for its time goes on waiting
 */
export type Occasion = 'changed' | 'seen';

export type Decision =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'pin' }
  | { readonly kind: 'unpin' }
  | { readonly kind: 'write'; readonly row: StatusRow };

export interface Known {
  readonly row: StatusRow | undefined;
  /** Without a row: whether the node may hold it through an attempt of ours. */
  readonly maybeHeld: boolean;
}

const nothing: Decision = { kind: 'nothing' };

/** What is to be done next for a wish, by what is wanted and what is known. Pure. */
export function decide(
  want: Wanted,
  { row, maybeHeld }: Known,
  occasion: Occasion,
  { nowMs, unpinDelayMs }: { nowMs: number; unpinDelayMs: number },
): Decision {
  const isWaiting = row !== undefined && row.retryAtMs > nowMs;
  if (want.kind === 'pin') {
    if (row === undefined) return { kind: 'pin' };
    if (row.held === want.mode) {
      return row.status === 'pinned' ? nothing : { kind: 'write', row: pinnedRow(want.mode, nowMs) };
    }
    return row.status === 'pin_error' && isWaiting && occasion === 'seen' ? nothing : { kind: 'pin' };
  }
  if (row === undefined && !maybeHeld) return nothing;
  if (want.kind === 'none') {
    return row?.status === 'unpin_error' && isWaiting && occasion === 'seen' ? nothing : { kind: 'unpin' };
  }
  if (row?.status === 'unpin_error') return isWaiting ? nothing : { kind: 'unpin' };
  if (row?.status === 'unpinning') return { kind: 'unpin' };
  if (row?.status === 'unpin_queued') return isWaiting ? nothing : { kind: 'unpin' };
  // The placement may come back, and other peers may be fetching from here.
  return { kind: 'write', row: leavingRow(row, nowMs, unpinDelayMs) };
}

export function pinnedRow(held: HoldMode, nowMs: number): StatusRow {
  return {
    status: 'pinned',
    sinceMs: nowMs,
    attempts: 0,
    errorClass: undefined,
    error: '',
    retryAtMs: 0,
    held,
    flow: 0,
  };
}

function leavingRow(row: StatusRow | undefined, nowMs: number, unpinDelayMs: number): StatusRow {
  const { held = 'none', flow = 0 } = row ?? {};
  const retryAtMs = nowMs + unpinDelayMs;
  const fresh = { attempts: 0, errorClass: undefined, error: '' };
  return { status: 'unpin_queued', sinceMs: nowMs, ...fresh, retryAtMs, held, flow };
}

/** What may be said of a row while the change of its wish has not been looked at yet. */
export function saidOf(want: Wanted, row: StatusRow | undefined): StatusRow['status'] | 'remote' | 'unpinned' {
  if (want.kind === 'pin') {
    if (row === undefined) return 'pin_queued';
    if (row.status === 'pinned') return row.held === 'recursive' || want.mode === 'direct' ? 'pinned' : 'pin_queued';
    return isUnpin(row.status) ? 'pin_queued' : row.status;
  }
  if (row === undefined) return want.kind === 'remote' ? 'remote' : 'unpinned';
  return isUnpin(row.status) ? row.status : 'unpin_queued';
}
