import { logTable } from '../../../src/consensus/crdt/tables.ts';
import { bucketOf } from '../../../src/model/pin-key.ts';
import { decodePinRow } from '../../../src/pinset/codec/pin-row.ts';
import { setsIn } from '../../../src/pinset/sets-state.ts';
import { type TableSet, tableSets } from '../../../src/pinset/tables.ts';
import type { Entry, Reader } from '../../../src/storage/storage.ts';
import { intakeTable, stateTable, statusFeedTable, statusTable } from '../../../src/tracker/tables.ts';
import { hexOf } from '../checkers/hex.ts';
import { entryKeyHash } from '../checkers/indexes.ts';
import type { FaultEvent } from '../plan/plan.ts';
import type { Machine } from './machine.ts';
import type { World } from './world.ts';

type DamageEvent = Extract<FaultEvent, { kind: 'damage' }>;

/** A row begins with the dot of an operation: its author and number. */
const DOT_BYTES = 6;

const storeOf = (machine: Machine) => machine.process?.disk.inner ?? machine.store;

/** A disk changes or loses what it has flushed, whether or not a process runs on it. */
export function damage(world: World, event: DamageEvent): void {
  const machine = world.machine(event.machine);
  if (machine.isGone || machine.process?.disk.hasFailed) return;
  const { read } = storeOf(machine).control.copy();
  const set = tableSets[setsIn(read).live];
  if (event.what === 'flip-log' || event.what === 'lose-log') damageLog(world, machine, event, read);
  else if (event.what === 'garble-tracker') garbleTracker(world, machine, event, read);
  else if (event.what === 'lose-entry' || event.what === 'flip-entry') damageEntry(world, machine, event, read, set);
  else damageRow(world, machine, event, read, set);
}

function damageRow(world: World, machine: Machine, event: DamageEvent, read: Reader, set: TableSet): void {
  const row = pick(read.range(set.pins), event.at);
  if (row === undefined || isTaken(world, row.key)) return;
  if (!sourcesFor(world, machine).some((other) => hasSame(other, row))) return;
  if (event.what === 'forget') {
    forget(world, machine, event, row.key, set);
    return;
  }
  storeOf(machine).control.damage(set.pins, row.key, damagedRow(event, row.value));
  note(world, machine, event, row.key, []);
}

function damageEntry(world: World, machine: Machine, event: DamageEvent, read: Reader, set: TableSet): void {
  const tables = [set.byName, set.byCreated, set.byExpiry];
  const all = tables.flatMap((table) => [...read.range(table)].map(({ key: entry }) => ({ table, entry })));
  const { table, entry } = all[event.at % Math.max(1, all.length)] ?? {};
  if (table === undefined || entry === undefined) return;
  const keyHash = entryKeyHash(set, table, entry);
  // Several, where one CID is pinned in several namespaces; none, where the entry was flipped before.
  const keys = [...read.range(set.pins, { from: keyHash })]
    .map(({ key }) => key)
    .filter((key) => hexOf(key.subarray(0, 8)) === hexOf(keyHash));
  if (keys.length === 0 || keys.some((key) => isTaken(world, key))) return;
  storeOf(machine).control.damage(table, entry, undefined);
  const strays: string[] = [];
  if (event.what === 'flip-entry') {
    const flipped = bitFlipped(entry, event.at);
    storeOf(machine).control.damage(table, flipped, new Uint8Array(0));
    strays.push(`${table} ${hexOf(flipped)}`);
  }
  for (const key of keys) note(world, machine, event, key, strays);
}

/** Whoever lacks that batch takes the rows of this machine instead: of those nothing is lost. */
function damageLog(world: World, machine: Machine, { what, at }: DamageEvent, read: Reader): void {
  const row = pick(read.range(logTable), at);
  if (row === undefined) return;
  const damaged = what === 'lose-log' ? undefined : bitFlipped(row.value, at, row.value.length);
  storeOf(machine).control.damage(logTable, row.key, damaged);
  world.damages.of(machine.name).batches.add(hexOf(row.key));
  world.trace.add(world.time.nowMs, `${machine.name}: ${what} of ${hexOf(row.key)}`);
}

/** What it names is found out anew by the tracker, of which no scrub tells. */
function garbleTracker(world: World, machine: Machine, event: DamageEvent, read: Reader): void {
  const tables = [stateTable, intakeTable, statusFeedTable, statusTable];
  const table = tables[event.at % tables.length] as string;
  const row = pick(read.range(table), event.at);
  if (row === undefined) return;
  storeOf(machine).control.damage(table, row.key, Buffer.of(0xff));
  world.trace.add(world.time.nowMs, `${machine.name}: a row of ${table} is garbled`);
}

/** A transaction of a running peer that should not have been. */
function forget(world: World, machine: Machine, event: DamageEvent, key: Uint8Array, set: TableSet): void {
  const { process } = machine;
  if (!process?.isRunning) return;
  const { pinset } = process.core;
  const commit = process.disk.transaction((tx) => {
    const before = pinset.row(tx, key);
    if (before.length > 0)
      pinset.mend(tx, { set, changes: [{ key, before, after: [] }], unreadable: [], corrections: [] });
    return before.length > 0;
  });
  let isSettled = false;
  const settled = () => {
    isSettled = true;
  };
  commit.flushed.then(settled, settled);
  if (commit.value) note(world, machine, event, key, [], () => !isSettled && process.isRunning);
}

function note(
  world: World,
  machine: Machine,
  { what }: DamageEvent,
  key: Uint8Array,
  strays: string[],
  isPending = () => false,
): void {
  const damaged = { what, key: hexOf(key), bucket: bucketOf(key), strays, isPending };
  world.damages.of(machine.name).add(damaged);
  // Whoever believes what is in such a row may take it for expired.
  world.history.removals.damaged(damaged.key);
  world.trace.add(world.time.nowMs, `${machine.name}: ${what} of ${damaged.key.slice(0, 8)}`);
}

/**
 * Whether what is damaged elsewhere can be put right with the rows of this machine alone: who loses that as well has lost the pin, and whoever
 * joins waits until an operator has given it up.
 */
export function hasLastCopy(world: World, machine: Machine): boolean {
  return world.machines.some((damaged) =>
    [...world.damages.of(damaged.name).keys.keys()].some((key) => {
      const sources = sourcesFor(world, damaged);
      const holders = sources.filter((other) => liveRow(other, Buffer.from(key, 'hex')) !== undefined);
      return holders.length === 1 && holders[0] === machine;
    }),
  );
}

/** Those that it can be put right from in the end: nobody takes state from a follower. */
function sourcesFor({ machines, plan }: World, damaged: Machine): Machine[] {
  return machines.filter((other, i) => other !== damaged && !other.isFollower && !plan.leftDown.includes(i));
}

function hasSame(machine: Machine, { key, value }: Entry): boolean {
  const row = liveRow(machine, key);
  return row !== undefined && dotsOf(row) === dotsOf(value);
}

/** As it is on the disk of a machine that comes back. */
function liveRow(machine: Machine, key: Uint8Array): Uint8Array | undefined {
  if (machine.isGone) return undefined;
  const { read } = storeOf(machine).control.copy();
  return read.get(tableSets[setsIn(read).live].pins, key);
}

/** Machines number replicas each in their own way. */
function dotsOf(value: Uint8Array): string {
  try {
    return decodePinRow(value)
      .map(({ sequence, stamp, placementStamp }) => `${sequence} ${stamp} ${placementStamp}`)
      .sort()
      .join();
  } catch {
    return 'unreadable';
  }
}

function isTaken(world: World, key: Uint8Array): boolean {
  return world.damages.isTaken(bucketOf(key), hexOf(key));
}

function pick(entries: Iterable<Entry>, at: number): Entry | undefined {
  const all = [...entries];
  return all[at % Math.max(1, all.length)];
}

function damagedRow({ what, at }: DamageEvent, value: Uint8Array): Uint8Array | undefined {
  if (what === 'lose') return undefined;
  if (what === 'garble') return Buffer.of(0xff, 1, 2);
  // A bit that means nothing is no damage.
  for (let bit = at; ; bit++) {
    const flipped = bitFlipped(value, bit, what === 'flip-dot' ? DOT_BYTES : value.length);
    if (meaningOf(flipped) !== meaningOf(value)) return flipped;
  }
}

function meaningOf(row: Uint8Array): string {
  try {
    return JSON.stringify(decodePinRow(row).map((dot) => ({ ...dot, value: hexOf(dot.value) })));
  } catch {
    return 'unreadable';
  }
}

/** In the first bytes, so many. */
function bitFlipped(bytes: Uint8Array, at: number, within = bytes.length): Uint8Array {
  const flipped = Uint8Array.from(bytes);
  const index = (at * 31) % within;
  flipped[index] = (flipped[index] as number) ^ (1 << (at % 8));
  return flipped;
}
