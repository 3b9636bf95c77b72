import { createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { type ClockEntry, ClockEntrySchema } from '../../gen/pinfold/peer/v1/batch_pb.ts';
import { SignedMetricsSchema, SignedPeerRecordSchema } from '../../gen/pinfold/peer/v1/record_pb.ts';
import { GetBucketsRequestSchema, GetDigestsRequestSchema } from '../../gen/pinfold/peer/v1/repair_pb.ts';
import {
  GetClockRequestSchema,
  HelloRequestSchema,
  MergeRangeRequestSchema,
  SyncRequestSchema,
} from '../../gen/pinfold/peer/v1/service_pb.ts';
import { libp2pNetwork } from '../../src/network/libp2p/libp2p-network.ts';
import type { Network } from '../../src/network/network.ts';
import type { PeerMethod, PeerRpcRequests } from '../../src/network/peer-methods.ts';
import { systemClock, systemTimers } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import { handlers } from '../suites/network.suite.ts';
import { CraftedAuthor } from './crafted-author.ts';

const noise = (seed: string, length: number) => createHash('sha256').update(seed).digest().subarray(0, length);

const clocks = new Map<string, ClockEntry[]>();

/** Entries of replicas that there are not, at sequences that nobody reaches. */
function hugeClock(entries: number, seed: number): ClockEntry[] {
  const known = clocks.get(`${entries} ${seed % 4}`) ?? inventedClock(entries, seed % 4);
  clocks.set(`${entries} ${seed % 4}`, known);
  return known;
}

function inventedClock(entries: number, seed: number): ClockEntry[] {
  return Array.from({ length: entries }, (_, i) =>
    create(ClockEntrySchema, { rid: noise(`rid ${seed} ${i}`, 16), sequence: 2n ** 52n, hashPrefix: noise(`${i}`, 8) }),
  );
}

/** A member that is trusted and has lost its mind: ten times of whatever there is a limit for, and never an end. */
export class MadPeer {
  readonly sent = new Map<string, number>();
  readonly #network: Network;
  readonly #victim: string;
  readonly #abort = new AbortController();
  readonly #running: Promise<void>[] = [];

  private constructor(network: Network, victim: string) {
    this.#network = network;
    this.#victim = victim;
  }

  static async connect(name: string, secret: Uint8Array, address: string): Promise<MadPeer> {
    const network = libp2pNetwork(
      { privateKey: noise(name, 32), secret, listen: ['/ip4/127.0.0.1/tcp/0'] },
      {
        addresses: { load: async () => new Map(), save: async () => {} },
        policy: { isMember: () => true, isTrusted: () => true },
        ...{ clock: systemClock, timers: systemTimers, random: systemRandom, logger: silentLogger, metrics: noMetrics },
      },
    );
    network.gossip.subscribe('batches', { id: (message) => message, receive: () => 'ignore' });
    network.gossip.subscribe('records', { id: (message) => message, receive: () => 'ignore' });
    network.rpc.serve(handlers());
    await network.start();
    const victim = await network.dial(address, { signal: AbortSignal.timeout(10_000) });
    return new MadPeer(network, victim);
  }

  /** Batches by gossip. */
  gossip(): void {
    this.#again('gossip', 1, async (n) => this.#gossip(n));
  }

  /** Calls of all kinds at once. */
  call(): void {
    this.#again('hello', 40, (n) => this.#call('hello', this.#hello(n)));
    this.#again('getClock', 40, (n) =>
      this.#call('getClock', create(GetClockRequestSchema, { clock: hugeClock(4_096, n % 8) })),
    );
    this.#again('longClock', 4, (n) =>
      this.#call('getClock', create(GetClockRequestSchema, { clock: hugeClock(12_000, n) })),
    );
    this.#again('sync', 40, (n) =>
      this.#call('sync', create(SyncRequestSchema, { clock: n % 2 ? hugeClock(4_096, 1) : [], follow: n % 3 === 0 })),
    );
    this.#again('mergeRange', 20, () =>
      this.#call('mergeRange', create(MergeRangeRequestSchema, { from: 0, to: 4_096 })),
    );
    this.#again('getDigests', 20, () => this.#call('getDigests', create(GetDigestsRequestSchema)));
    const buckets = Array.from({ length: 64 }, (_, i) => i * 1_000);
    this.#again('getBuckets', 20, () => this.#call('getBuckets', create(GetBucketsRequestSchema, { buckets })));
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error('enough'));
    await Promise.all(this.#running);
    await this.#network.stop();
  }

  #again(what: string, atOnce: number, act: (n: number) => Promise<void>): void {
    for (let i = 0; i < atOnce; i++) this.#running.push(this.#loop(what, i, act));
  }

  async #loop(what: string, from: number, act: (n: number) => Promise<void>): Promise<void> {
    for (let n = from; !this.#abort.signal.aborted; n += 1_000) {
      // Refusals are what it gets.
      await act(n).catch(() => {});
      this.sent.set(what, (this.sent.get(what) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Batches that are never ready: they depend on what there is not. Of another replica each time. */
  #gossip(n: number): void {
    const author = new CraftedAuthor('mad', n % 2 ** 31);
    const inc = [{ rid: noise('nobody', 16), sequence: 2 ** 52 }];
    const operations = Array.from({ length: 3 }, () => ({ name: 'x'.repeat(1_000) }));
    for (let i = 0; i < 4; i++) this.#network.gossip.publish('batches', author.batch(operations, { inc }));
  }

  #hello(n: number): PeerRpcRequests['hello'] {
    const forged = noise(`${n}`, 32);
    return create(HelloRequestSchema, {
      hello: {
        rid: noise(`rid ${n}`, 16),
        incarnation: BigInt(n),
        bootNonce: noise(`${n}`, 8),
        wallTimeMs: 2n ** 60n,
        clockHash: forged,
        digestRoot: forged,
        level: 2 ** 31,
        rebuilding: hugeClock(1_000, 1),
        records: Array.from({ length: 500 }, () =>
          create(SignedPeerRecordSchema, { record: forged, signature: new Uint8Array(64) }),
        ),
        metrics: Array.from({ length: 500 }, () =>
          create(SignedMetricsSchema, { metrics: forged, signature: new Uint8Array(64) }),
        ),
      },
    });
  }

  async #call<M extends PeerMethod>(method: M, request: PeerRpcRequests[M]): Promise<void> {
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(5_000)]);
    for await (const _ of this.#network.rpc.call(this.#victim, method, [request], { signal }));
  }
}
