import { hash } from 'node:crypto';
import { decodeOperations } from '../../src/consensus/crdt/codec/operations.ts';
import { decodeSignedBatch, openBatch } from '../../src/consensus/crdt/codec/signed-batch.ts';
import { AMEND, type Batch, type Operations, PIN } from '../../src/consensus/crdt/core/types.ts';
import { decodeReplicaRow } from '../../src/consensus/crdt/state/replica-row.ts';
import { logTable, replicasTable } from '../../src/consensus/crdt/tables.ts';
import { formatPeerId } from '../../src/model/peer-id.ts';
import { decodePinRow } from '../../src/pinset/codec/pin-row.ts';
import type { Pinset } from '../../src/pinset/pinset.ts';
import { setsIn } from '../../src/pinset/sets-state.ts';
import { tableSets } from '../../src/pinset/tables.ts';
import type { Reader } from '../../src/storage/storage.ts';

interface Written {
  batch: Batch;
  content: Operations;
}

/** A dot as the invariants see it: names, no local numbers. */
export interface TrueDot {
  rid: string;
  sequence: number;
  stamp: number;
  value: string;
  placement: { stamp: number; rid: string; allocations: string[] };
}

export interface StateOfPeer {
  clock: Map<string, { sequence: number; hash: string; floor: number }>;
  log: Map<string, Written[]>;
  rows: Map<string, TrueDot[]>;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** What a store holds, read from its tables alone: nothing of the code under test decides here. */
export function stateOf(reader: Reader, pinset: Pinset): StateOfPeer {
  const clock: StateOfPeer['clock'] = new Map();
  for (const { value } of reader.range(replicasTable)) {
    const row = decodeReplicaRow(value);
    if (row.clock > 0) clock.set(hex(row.rid), { sequence: row.clock, hash: hex(row.hash), floor: row.floor });
  }
  const log: StateOfPeer['log'] = new Map();
  for (const { value } of reader.range(logTable)) {
    const batch = openBatch(decodeSignedBatch(value));
    const of = log.get(hex(batch.rid)) ?? [];
    log.set(hex(batch.rid), of);
    of.push({ batch, content: decodeOperations(batch.ops) });
  }
  return { clock, log, rows: rowsOf(reader, pinset) };
}

function rowsOf(reader: Reader, { names }: Pinset): Map<string, TrueDot[]> {
  const rows = new Map<string, TrueDot[]>();
  for (const { key, value } of reader.range(tableSets[setsIn(reader)?.live ?? 'a'].pins)) {
    const dots = decodePinRow(value).map((dot) => ({
      rid: hex(names.replicas.name(dot.replica)),
      sequence: dot.sequence,
      stamp: dot.stamp,
      value: hex(hash('sha256', dot.value, 'buffer')).slice(0, 8),
      placement: {
        stamp: dot.placementStamp,
        rid: hex(names.replicas.name(dot.placementReplica)),
        allocations: dot.allocations.map((peer) => names.peers.name(peer)),
      },
    }));
    rows.set(hex(key), dots.sort(byDot));
  }
  return rows;
}

function byDot(a: TrueDot, b: TrueDot): number {
  if (a.rid === b.rid) return a.sequence - b.sequence;
  return a.rid < b.rid ? -1 : 1;
}

/** All batches that exist, and that no dot means two things (I6). */
export class History {
  readonly #batches = new Map<string, Written[]>();
  readonly problems: string[] = [];

  learn(states: Iterable<StateOfPeer>): void {
    for (const { log, clock } of states) {
      for (const [rid, written] of log) {
        // What is only queued or committed may be lost with its sequence; it was not told to anybody (F1).
        for (const one of written) if (one.batch.head.last <= (clock.get(rid)?.sequence ?? 0)) this.#add(rid, one);
      }
    }
  }

  #add(rid: string, one: Written): void {
    const known = this.#batches.get(rid) ?? [];
    this.#batches.set(rid, known);
    const { first, last } = one.batch.head;
    const same = known.find(({ batch: { head } }) => head.first <= last && first <= head.last);
    if (same === undefined) known.push(one);
    else if (hex(same.batch.hash) !== hex(one.batch.hash))
      this.problems.push(`I6: ${rid.slice(0, 6)} ${first}-${last} exists twice`);
  }

  /** Forgets what a crash has undone: batches that no store holds any more. */
  static of(states: Iterable<StateOfPeer>): History {
    const history = new History();
    history.learn(states);
    return history;
  }

  /** truth(k, c) of all keys (section 2, Truth). */
  truth(clock: StateOfPeer['clock']): Map<string, TrueDot[]> {
    const pins = new Map<string, { key: string; dot: TrueDot }>();
    const gone = new Set<string>();
    const amendments: { seen: string[]; placement: TrueDot['placement'] }[] = [];
    for (const [rid, written] of this.#batches) {
      for (const { batch, content } of written) {
        if (batch.head.last > (clock.get(rid)?.sequence ?? 0)) continue;
        content.operations.forEach((operation, i) => {
          const seen: string[] = [];
          for (let s = 0; s < operation.sees.length; s += 2) {
            seen.push(`${hex(content.rids[operation.sees[s] as number] as Uint8Array)} ${operation.sees[s + 1]}`);
          }
          const allocations = operation.allocations.map((peer) => formatPeerId(content.peers[peer] as Uint8Array));
          const placement = { stamp: operation.stamp, rid, allocations };
          if (operation.kind === AMEND) amendments.push({ seen, placement });
          else for (const dot of seen) gone.add(dot);
          if (operation.kind !== PIN) return;
          const sequence = batch.head.first + i;
          const value = hex(hash('sha256', operation.value, 'buffer')).slice(0, 8);
          const dot = { rid, sequence, stamp: operation.stamp, value, placement };
          pins.set(`${rid} ${sequence}`, { key: hex(operation.key), dot });
        });
      }
    }
    for (const { seen, placement } of amendments) {
      for (const id of seen) {
        const pin = pins.get(id);
        if (pin !== undefined && isGreater(placement, pin.dot.placement)) pin.dot = { ...pin.dot, placement };
      }
    }
    const rows = new Map<string, TrueDot[]>();
    for (const [id, { key, dot }] of pins) {
      if (gone.has(id)) continue;
      rows.set(key, [...(rows.get(key) ?? []), dot].sort(byDot));
    }
    return rows;
  }

  /** The invariants of section 9 that one state can break. */
  check(name: string, { clock, log, rows }: StateOfPeer): string[] {
    const problems = [...this.problems];
    for (const [key, dots] of rows) {
      for (const { rid, sequence } of dots) {
        if (sequence > (clock.get(rid)?.sequence ?? 0)) problems.push(`I1: ${name} ${key.slice(0, 8)} ${sequence}`);
      }
    }
    const truth = this.truth(clock);
    for (const key of new Set([...rows.keys(), ...truth.keys()])) {
      const [is, should] = [JSON.stringify(rows.get(key) ?? []), JSON.stringify(truth.get(key) ?? [])];
      if (is !== should) problems.push(`I2: ${name} key ${key.slice(0, 8)} is ${is}, should be ${should}`);
    }
    for (const [rid, { sequence, floor }] of clock) {
      const known = this.#batches.get(rid) ?? [];
      for (const { batch } of known) {
        const { head } = batch;
        if (head.first <= sequence && head.last > sequence)
          problems.push(`I9: ${name} ${rid.slice(0, 6)} ends at ${sequence}`);
        if (head.last > sequence) continue;
        for (const entry of head.inc) {
          if (entry.sequence > (clock.get(hex(entry.rid))?.sequence ?? 0))
            problems.push(`I3: ${name} ${rid.slice(0, 6)} ${head.last}`);
        }
        const isLogged = log.get(rid)?.some((one) => one.batch.head.last === head.last) ?? false;
        if (head.first > floor && !isLogged) problems.push(`I7: ${name} lacks ${rid.slice(0, 6)} ${head.first}`);
      }
    }
    return problems;
  }
}

function isGreater(a: TrueDot['placement'], b: TrueDot['placement']): boolean {
  return a.stamp === b.stamp ? a.rid > b.rid : a.stamp > b.stamp;
}
