import { hash } from 'node:crypto';
import { encodeHeader, ridOf } from '../../src/consensus/crdt/codec/header.ts';
import { encodeSignedBatch } from '../../src/consensus/crdt/codec/signed-batch.ts';
import { OperationWriter } from '../../src/consensus/crdt/core/operation-writer.ts';
import type { IncEntry } from '../../src/consensus/crdt/core/types.ts';
import { PinfoldError } from '../../src/model/errors.ts';
import { parsePeerId } from '../../src/model/peer-id.ts';
import { memoryAddress, memoryNetwork } from '../../src/network/memory/memory-network.ts';
import type { Network } from '../../src/network/network.ts';
import { encodePinValue } from '../../src/pinset/codec/pin-value.ts';
import { Writer } from '../../src/pinset/codec/writer.ts';
import type { NameTable } from '../../src/pinset/pinset.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { plainFields, type TestCluster, testKey, testSigner } from './crdt-peers.ts';

export interface CraftedOperation {
  kind?: number;
  key?: Uint8Array;
  /** Pairs (0: the author itself, else position in `rids`; sequence). */
  sees?: number[];
  stamp?: number;
  value?: Uint8Array | undefined;
  name?: string;
}

/** A peer that signs whatever it likes: batch after batch of one replica. */
export class CraftedAuthor {
  readonly rid: Uint8Array;
  readonly peerId: string;
  readonly #signer: ReturnType<typeof testSigner>;
  readonly #incarnation: Uint8Array;
  #sequence = 0;
  #prev: Uint8Array = new Uint8Array(0);

  constructor(name: string, incarnation = 7) {
    this.#signer = testSigner(name);
    this.peerId = this.#signer.peerId;
    const bytes = Buffer.alloc(8);
    bytes.writeUInt32BE(incarnation, 4);
    this.#incarnation = bytes;
    this.rid = ridOf(this.#signer.publicKey, bytes);
  }

  /** The bytes of its next batch. `rids` and `peers` stand in the tables behind its own rid whether used or not. */
  batch(
    operations: readonly CraftedOperation[],
    { inc = [], rids = [], peers = [] }: { inc?: IncEntry[]; rids?: Uint8Array[]; peers?: Uint8Array[] } = {},
  ): Uint8Array {
    const table = new Writer();
    for (const rid of [this.rid, ...rids]) table.bytesField(0x0a, rid);
    for (const peer of peers) table.bytesField(0x12, peer);
    const writer = new OperationWriter({ rid: () => this.rid, peer: () => this.rid });
    for (const { kind = 1, key = testKey('k'), sees = [], stamp = 5_000_000, value, name = '' } of operations) {
      const bytes = kind === 1 ? (value ?? encodePinValue({ ...plainFields, name })) : undefined;
      // The writer gives positions in the order of first use: positions are used as they are by asking for them in order.
      writer.operation({ kind, key, sees, stamp, value: bytes, allocations: [], idempotency: undefined });
    }
    const body = writer.take();
    const used = Math.max(-1, ...operations.flatMap(({ sees = [] }) => sees.filter((_, i) => i % 2 === 0))) + 1;
    // What the writer put in front: `used` entries of 18 bytes, which ours replace.
    const ops = Buffer.concat([table.take(), body.subarray(used * 18)]);
    const first = this.#sequence + 1;
    this.#sequence += operations.length;
    const header = encodeHeader({
      level: 1,
      author: parsePeerId(this.peerId),
      incarnation: this.#incarnation,
      first,
      last: this.#sequence,
      prev: this.#prev,
      inc,
      opsHash: hash('sha256', ops, 'buffer'),
      opsBytes: ops.length,
    });
    this.#prev = hash('sha256', header, 'buffer');
    return encodeSignedBatch({ header, signature: this.#signer.sign(header), ops });
  }
}

/** All 65,536 numbers are given. */
export function usedUp<T>(table: NameTable<T>): void {
  table.ensure = (name) => {
    const known = table.find(name);
    if (known !== undefined) return known;
    throw new PinfoldError('LIMIT_REACHED', 'no number is left');
  };
}

/** A stranger inside the private network, to gossip what authors have crafted. */
export async function stranger(cluster: TestCluster): Promise<Network> {
  const policy = { isMember: () => true, isTrusted: () => true };
  const common = { ...cluster.time, logger: silentLogger, metrics: noMetrics };
  const network = memoryNetwork({ peerId: testSigner('stranger').peerId }, { hub: cluster.hub, policy, ...common });
  await network.start();
  for (const { peerId } of cluster.peers.values()) network.remember(peerId, [memoryAddress(peerId)]);
  return network;
}
