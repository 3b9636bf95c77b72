import { create } from '@bufbuild/protobuf';
import {
  GetClockResponseSchema,
  HelloRequestSchema,
  HelloResponseSchema,
  HelloSchema,
  MergeRangeResponseSchema,
  type ReportUntrustedRequest,
  ReportUntrustedResponseSchema,
  SyncResponseSchema,
} from '../../gen/pinfold/peer/v1/service_pb.ts';
import { clockEntry } from '../../src/consensus/crdt/codec/clock-entries.ts';
import { decodeSignedBatch } from '../../src/consensus/crdt/codec/signed-batch.ts';
import { memoryAddress, memoryNetwork } from '../../src/network/memory/memory-network.ts';
import type { Network } from '../../src/network/network.ts';
import type { PeerCallContext, PeerMethod, PeerRpcRequests, PeerRpcResponses } from '../../src/network/peer-methods.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { handlers } from '../suites/network.suite.ts';
import { CraftedAuthor } from './crafted-author.ts';
import type { TestCluster } from './crdt-peers.ts';

/** A peer of the private network that says whatever it likes, by every path there is. */
export class Intruder extends CraftedAuthor {
  readonly network: Network;
  /** What others have asked of it. */
  readonly asked: PeerMethod[] = [];
  readonly reports: ReportUntrustedRequest[] = [];
  /** What its Syncs give, held open as long as the caller likes. */
  readonly batches: Uint8Array[] = [];
  /** Its clock claims so much of a replica. */
  readonly claims = new Map<string, { rid: Uint8Array; sequence: number }>();
  wallTimeMs = 0;
  #wake: () => void = () => {};

  constructor(cluster: TestCluster, name = 'intruder') {
    super(name);
    const policy = { isMember: () => true, isTrusted: () => true };
    const common = { ...cluster.time, logger: silentLogger, metrics: noMetrics };
    this.network = memoryNetwork({ peerId: this.peerId }, { hub: cluster.hub, policy, ...common });
    this.network.rpc.serve(this.#handlers());
  }

  async start(cluster: TestCluster): Promise<void> {
    await this.network.start();
    for (const { peerId } of cluster.peers.values()) this.network.remember(peerId, [memoryAddress(peerId)]);
  }

  /** One more batch for those who follow. */
  send(batch: Uint8Array): void {
    this.batches.push(batch);
    this.#wake();
  }

  async greet(peerId: string): Promise<void> {
    await this.call(peerId, 'hello', create(HelloRequestSchema, { hello: this.hello() }));
  }

  async call<M extends PeerMethod>(
    peerId: string,
    method: M,
    request: PeerRpcRequests[M],
  ): Promise<PeerRpcResponses[M] | undefined> {
    const { signal } = new AbortController();
    for await (const response of this.network.rpc.call(peerId, method, [request], { signal })) return response;
    return undefined;
  }

  hello() {
    return create(HelloSchema, {
      rid: this.rid,
      bootNonce: new Uint8Array(8),
      wallTimeMs: BigInt(this.wallTimeMs),
      clockHash: new Uint8Array(32).fill(1),
      level: 1,
    });
  }

  #handlers() {
    const asked = (method: PeerMethod) => this.asked.push(method);
    const self = this;
    return handlers({
      async *hello() {
        asked('hello');
        yield create(HelloResponseSchema, { hello: self.hello() });
      },
      async *getClock() {
        asked('getClock');
        const clock = [...self.claims.values()].map(({ rid, sequence }) =>
          clockEntry(rid, sequence, new Uint8Array(0)),
        );
        yield create(GetClockResponseSchema, { clock });
      },
      async *sync(_requests: unknown, { signal }: PeerCallContext) {
        asked('sync');
        signal.addEventListener('abort', () => self.#wake(), { once: true });
        for (let next = 0; !signal.aborted; ) {
          const batch = self.batches[next];
          if (batch === undefined) await new Promise<void>((resolve) => (self.#wake = resolve));
          else {
            next++;
            yield create(SyncResponseSchema, {
              message: { case: 'batches', value: { batches: [decodeSignedBatch(batch)] } },
            });
          }
        }
      },
      async *mergeRange() {
        asked('mergeRange');
        yield create(MergeRangeResponseSchema);
      },
      async *reportUntrusted(requests: AsyncIterable<ReportUntrustedRequest>) {
        for await (const request of requests) self.reports.push(request);
        yield create(ReportUntrustedResponseSchema);
      },
    });
  }
}
