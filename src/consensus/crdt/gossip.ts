import { hash } from 'node:crypto';
import { formatPeerId } from '../../model/peer-id.ts';
import type { Gossip } from '../../network/network.ts';
import { Allowance } from '../../runtime/allowance.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { Acknowledger } from './acknowledger.ts';
import { checkedOperations } from './codec/operations.ts';
import { type BatchParts, decodeSignedBatch, encodeSignedBatch, openBatch } from './codec/signed-batch.ts';
import { GOSSIP_BATCH_BYTES_MAX, GOSSIP_BURST, GOSSIP_EVERY_MS, GOSSIP_FORWARDERS_MAX } from './constants.ts';
import { InvalidBatch } from './core/invalid-batch.ts';
import { judge } from './core/judge.ts';
import type { Batch } from './core/types.ts';
import type { KnownSignatures } from './known-signatures.ts';
import type { CrdtMetrics } from './metrics.ts';
import type { CrdtStore } from './state/store.ts';

export interface BatchTalkNeeds {
  gossip: Gossip;
  store: CrdtStore;
  metrics: CrdtMetrics;
  logger: Logger;
  acknowledger: Pick<Acknowledger, 'wanted'>;
  signatures: KnownSignatures;
  isTrusted(peerId: string): boolean;
  /** T5: a valid batch of an author that is not trusted. */
  onTurnedAway(author: string): void;
  /** Whether batches are taken from gossip now. */
  isOpen(): boolean;
  offer(batch: Batch, from: string): void;
  /** G3: something exists that this peer lacks. */
  onNews(batch: Batch, from: string): void;
}

/** G1 to G3: gossip is a hint, and one signature serves it and the log. */
export class BatchTalk {
  readonly #needs: BatchTalkNeeds;
  readonly #allowances = new Map<string, Allowance>();

  constructor(needs: BatchTalkNeeds) {
    this.#needs = needs;
    needs.gossip.subscribe('batches', {
      id: messageId,
      receive: (message, from) => this.#receive(message, from),
    });
  }

  /** G1, after the flush. */
  publish({ header, signature, ops }: BatchParts, encoded: Uint8Array, wantAck: boolean): void {
    const { gossip, metrics, logger } = this.#needs;
    const isWhole = encoded.length <= GOSSIP_BATCH_BYTES_MAX;
    const parts = { header, signature, ops: isWhole ? ops : new Uint8Array(0) };
    const message = isWhole && !wantAck ? encoded : encodeSignedBatch(parts, wantAck);
    if (message.length > GOSSIP_BATCH_BYTES_MAX) return; // A clock of thousands of replicas: Hello tells of it.
    try {
      gossip.publish('batches', message);
      metrics.published.add(1, { form: isWhole ? 'whole' : 'announcement' });
    } catch (failure) {
      logger.debug('a batch was not given to gossip', { error: String(failure) });
    }
  }

  #receive(message: Uint8Array, from: string): 'accept' | 'ignore' | 'reject' {
    if (!this.#needs.isOpen()) return 'ignore';
    if (!this.#isAllowed(from)) {
      this.#needs.metrics.gossipDropped.add(1);
      return 'ignore';
    }
    try {
      return this.#judged(openBatch(decodeSignedBatch(message)), from);
    } catch (problem) {
      if (!(problem instanceof InvalidBatch)) throw problem;
      this.#needs.metrics.invalid.add(1, { reason: problem.reason, door: 'gossip' });
      this.#needs.logger.debug('an invalid batch came by gossip', { from, problem: problem.message });
      return 'reject';
    }
  }

  #isAllowed(from: string): boolean {
    const nowMs = this.#needs.store.needs.clock.monotonicMs();
    const allowance = this.#allowances.get(from) ?? new Allowance(GOSSIP_BURST, GOSSIP_EVERY_MS, nowMs);
    this.#allowances.set(from, allowance);
    const [oldest] = this.#allowances.size > GOSSIP_FORWARDERS_MAX ? this.#allowances.keys() : [];
    if (oldest !== undefined) this.#allowances.delete(oldest);
    return allowance.take(nowMs);
  }

  #judged(batch: Batch, from: string): 'accept' | 'ignore' {
    const { store, isTrusted, onTurnedAway, offer, onNews } = this.#needs;
    this.#needs.signatures.verify(batch);
    if (batch.wantAck) this.#needs.acknowledger.wanted(batch);
    const verdict = judge(store.replicas, batch);
    const isKnown = verdict === 'duplicate';
    const author = formatPeerId(batch.head.author);
    if (!isTrusted(author)) {
      if (!isKnown) onTurnedAway(author);
      return 'ignore'; // T1
    }
    if (batch.ops.length > 0) {
      if (!isKnown) {
        checkedOperations(batch);
        offer(batch, from);
      }
    } else if (!isKnown && verdict !== 'frozen') {
      onNews(batch, from);
    }
    return 'accept';
  }
}

/** The batch's hash: an announcement is the same message as the batch it speaks of. */
function messageId(message: Uint8Array): Uint8Array {
  try {
    return hash('sha256', decodeSignedBatch(message).header, 'buffer');
  } catch {
    return hash('sha256', message, 'buffer');
  }
}
