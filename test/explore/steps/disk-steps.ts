import { isPlanted } from '../planted.ts';
import { action } from '../world/action.ts';
import {
  answeredAt,
  BACKUP,
  COUNTS,
  currentAt,
  DEAD,
  flushedAt,
  HAS_BACKUP,
  LOST,
  replicaAt,
} from '../world/layout.ts';
import { secondIncarnation } from '../world/names.ts';
import { crash, type State, type Steps } from '../world/steps.ts';
import { type Store, storeAt, storeOf } from '../world/store.ts';

/** Backups, restores from one or from nothing, and disks lost for ever. */
export function diskSteps(steps: Steps): void {
  const { bounds, from } = steps;
  if (bounds.backups && from[replicaAt(0)] === 0) backupSteps(steps);
  if (bounds.losses && steps.isAlive(1)) lossStep(steps);
}

function backupSteps(steps: Steps): void {
  const { from } = steps;
  const flushed = from[flushedAt(0)] as number;
  const hasBackup = ((from[COUNTS] as number) & HAS_BACKUP) !== 0;
  if (!hasBackup && !isEmpty(storeAt(flushed))) {
    const to = steps.begin();
    to[BACKUP] = flushed;
    to[COUNTS] = (to[COUNTS] as number) | HAS_BACKUP;
    steps.end(action('backup', 0), 0);
  }
  const backup = from[BACKUP] as number;
  if (storeAt(flushed).sequences.join() === storeAt(backup).sequences.join()) return;
  const to = steps.begin();
  crash(to, 0);
  loseDisk(steps, to, 0, storeAt(backup));
  to[currentAt(0)] = to[flushedAt(0)] = backup;
  if (!isPlanted('incarnation-reused')) to[replicaAt(0)] = secondIncarnation; // N1, N2
  steps.endAnew(action('restore', 0), 0);
}

function lossStep(steps: Steps): void {
  const to = steps.begin();
  crash(to, 1);
  loseDisk(steps, to, 1, emptyStore());
  to[replicaAt(1)] = (to[replicaAt(1)] as number) | DEAD;
  to[currentAt(1)] = to[flushedAt(1)] = emptyStore().id;
  steps.endAnew(action('lose', 1), 1);
}

/** What no disk holds any more is not promised any more (I4). */
function loseDisk(steps: Steps, to: State, peer: number, left: Store): void {
  to[COUNTS] = (to[COUNTS] as number) | LOST;
  const holders = [left, ...steps.others(peer).map((other) => steps.flushed(other))];
  for (let replica = 0; replica < steps.layout.replicas; replica++) {
    const held = Math.max(...holders.map(({ sequences }) => sequences[replica] as number));
    const answered = to[answeredAt(replica)] as number;
    to[answeredAt(replica)] = (answered & ~0xff) | Math.min(answered & 0xff, held);
  }
}

function isEmpty({ sequences }: Store): boolean {
  return sequences.every((sequence) => sequence === 0);
}

export function emptyStore(): Store {
  return storeOf(emptyValue);
}

const emptyValue = {
  clock: [0, 0, 0, 0],
  floor: [0, 0, 0, 0],
  rows: [0, 0],
  log: [],
  lastStamp: 0,
  shadow: undefined,
};
