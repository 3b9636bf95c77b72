import { mark } from '../../../runtime/mark.ts';
import { maySwap, swapped } from '../core/rebuild.ts';
import type { ClockStep } from '../state/replicas.ts';
import type { CrdtStore } from '../state/store.ts';
import { ShadowIntake } from './shadow-intake.ts';
import { ShadowState } from './shadow-state.ts';

/**
 * B5: one transaction takes the last operations of the live tables into the shadow and makes it live, with its clock, the floors over
 * what came as rows, and the feed row. Nobody else writes meanwhile. False: C' does not cover the goal yet.
 */
export async function swapIn(store: CrdtStore, shadow: ShadowState, signal: AbortSignal): Promise<boolean> {
  const flushed = await store.turns.alone(async () => {
    await store.needs.storage.transaction(() => {}).committed;
    await feedIsCommitted(store, signal);
    return { done: await swapNow(store, shadow, signal) };
  });
  if (flushed.done === undefined) return false;
  await flushed.done.flushed;
  return true;
}

async function swapNow(
  store: CrdtStore,
  shadow: ShadowState,
  signal: AbortSignal,
): Promise<{ flushed: Promise<void> } | undefined> {
  const { storage, pinset } = store.needs;
  const intake = new ShadowIntake(store, shadow, async () => {}); // They are built.
  if (!shadow.clock.coversGoal) return undefined;
  const tail = await intake.tail();
  // No await from here to the transaction: a shadow that was given up must not become live (B6).
  signal.throwIfAborted();
  const { clocks } = shadow.clock;
  if (clocks === undefined || !maySwap(clocks, store.replicas.clock)) return undefined;
  const keys = shadow.changed.collect(storage.read, pinset.feed, store.revisions.revision);
  const steps = stepsAfter(shadow, tail?.steps ?? []);
  const taken = new Map(steps.map(({ replica, sequence }) => [replica.ridText, sequence]));
  const after = swapped({ ...clocks, taken }, store.replicas.clock, store.replicas.floors);
  const commit = storage.transaction((tx) => {
    if (tail !== undefined) {
      mark('crdt rebuild: swap takes a tail');
      intake.write(tx, tail);
    }
    for (const step of steps) store.replicas.put(tx, step, after.floors.get(step.replica.ridText));
    ShadowState.remove(tx);
    pinset.shadow.swap(tx, keys);
  });
  for (const { replica } of steps) replica.floor = after.floors.get(replica.ridText) ?? replica.floor;
  return { flushed: store.queued(commit, steps, true) };
}

function stepsAfter({ clock }: ShadowState, tail: readonly ClockStep[]): ClockStep[] {
  return clock.after(tail).map(({ replica, sequence, hash }) => ({ replica, sequence, hash }));
}

/** The feed says what is committed a few microtasks later. */
async function feedIsCommitted({ needs: { pinset }, revisions }: CrdtStore, signal: AbortSignal): Promise<void> {
  const { revision } = revisions;
  if (pinset.feed.revision < revision) await pinset.feed.wait(revision - 1, { flushed: false, signal });
}
