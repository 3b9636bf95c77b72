import { equals } from '@bufbuild/protobuf';
import { PeerRecordSchema, type RecordsMessage } from '../../gen/pinfold/peer/v1/record_pb.ts';
import type { IpfsNodeId } from '../ipfs/connector.ts';
import type { Network } from '../network/network.ts';
import { type Clock, jittered, type Timer, type Timers } from '../runtime/clock.ts';
import type { Signer } from '../runtime/ed25519.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Random } from '../runtime/random.ts';
import {
  GREETING_DELAY_MS,
  IPFS_ID_TIMEOUT_MS,
  OWN_RECORD_CHECK_MS,
  RECORD_GOSSIP_INTERVAL_MS,
  RECORD_REFRESH_MS,
} from './constants.ts';
import type { Readings } from './readings.ts';
import {
  type OpenedMetrics,
  type OpenedRecord,
  openMetrics,
  openRecord,
  recordOf,
  signMetrics,
  signRecord,
} from './records.ts';
import type { Versions } from './versions.ts';

export interface OwnWordInit {
  name: string;
  software: string;
  follower: boolean;
  level: number;
  trustHash(): Uint8Array;
  metricsTtlMs: number;
}

export interface OwnWordNeeds {
  network: Pick<Network, 'addresses'>;
  signer: Signer;
  ipfsId: (options: { signal: AbortSignal }) => Promise<IpfsNodeId | undefined>;
  versions: Versions;
  readings: Readings;
  /** Takes the record in and resolves when it is on the disk. */
  onRecord: (record: OpenedRecord) => Promise<void>;
  onMetrics: (metrics: OpenedMetrics) => void;
  publish: (message: Exclude<RecordsMessage['message'], { case: undefined }>) => void;
  clock: Clock;
  timers: Timers;
  random: Random;
  logger: Logger;
}

/** What this peer says of itself: its record, made anew when something changed, and what it measures, said twice in a time to live. */
export class OwnWord {
  readonly #init: OwnWordInit;
  readonly #needs: OwnWordNeeds;
  readonly #abort = new AbortController();
  readonly #timers = new Map<string, Timer>();
  readonly #underWay = new Set<Promise<void>>();
  #record: OpenedRecord | undefined;
  #ipfs: IpfsNodeId | undefined;
  #draining = false;
  #metrics: OpenedMetrics | undefined;
  #asking = false;

  constructor(init: OwnWordInit, needs: OwnWordNeeds) {
    this.#init = init;
    this.#needs = needs;
  }

  /** `last`: the record on disk. Resolves when the record is made and on the disk; the IPFS node is not waited for. */
  async start(last: OpenedRecord | undefined): Promise<void> {
    this.#record = last;
    // Until the node answers it is taken for the one that it was.
    this.#ipfs = last?.record.ipfs;
    this.#draining = last?.record.draining ?? false;
    await this.#renew();
    this.#repeat('record', RECORD_GOSSIP_INTERVAL_MS, 0.1, async () => this.#sayRecord());
    this.#repeat('renew', OWN_RECORD_CHECK_MS, 0.1, () => this.#check());
    this.#repeat('metrics', this.#init.metricsTtlMs / 2, 0.1, () => this.#measure());
    this.#run(() => this.#check());
    this.#run(() => this.#measure());
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error('the monitor is stopping'));
    for (const timer of this.#timers.values()) timer.cancel();
    await Promise.all(this.#underWay);
  }

  /** Says record and metrics soon, once for all connections that come meanwhile. */
  greet(): void {
    if (this.#timers.has('greet') || this.#abort.signal.aborted) return;
    const timer = this.#needs.timers.after(GREETING_DELAY_MS, () => {
      this.#timers.delete('greet');
      this.#run(async () => {
        this.#sayRecord();
        if (this.#metrics !== undefined) this.#needs.publish({ case: 'metrics', value: this.#metrics.signed });
      });
    });
    this.#timers.set('greet', timer);
  }

  /** Somebody has seen that version under this peer's name: the next record is above it, and comes now. */
  exceed(version: number): void {
    this.#needs.versions.exceed(version);
    this.#run(() => this.#renew(true));
  }

  /** Resolves when the record that says so is on the disk: it is where this is kept. */
  async setDraining(draining: boolean): Promise<void> {
    this.#draining = draining;
    await this.#renew();
  }

  /** Something that the record says may be different now. */
  renew(): Promise<void> {
    return this.#run(() => this.#renew());
  }

  /** Asks the IPFS node who it is, and makes a new record if anything is different. */
  async #check(): Promise<void> {
    await this.#askIpfs();
    if (!this.#abort.signal.aborted) await this.#renew();
  }

  async #askIpfs(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    const abort = new AbortController();
    const stop = () => abort.abort(this.#abort.signal.reason);
    this.#abort.signal.addEventListener('abort', stop, { once: true });
    const timer = this.#needs.timers.after(IPFS_ID_TIMEOUT_MS, () =>
      abort.abort(new Error('the IPFS node did not answer in time')),
    );
    try {
      this.#ipfs = (await this.#needs.ipfsId({ signal: abort.signal })) ?? this.#ipfs;
    } catch (error) {
      this.#needs.logger.debug('the IPFS node did not say who it is', { error: String(error) });
    } finally {
      timer.cancel();
      this.#abort.signal.removeEventListener('abort', stop);
      this.#asking = false;
    }
  }

  async #renew(must = false): Promise<void> {
    if (!must && this.#isCurrent()) return;
    const { signer, versions } = this.#needs;
    const version = await versions.next();
    const record = openRecord(signRecord(signer, recordOf(signer.peerId, version, this.#content())));
    if (record === undefined) throw new Error('the record of this peer is over a limit: is its name too long?');
    // A newer one was made while this one waited for its version.
    if (this.#record !== undefined && this.#record.version > version) return;
    this.#record = record;
    await this.#needs.onRecord(record);
    this.#sayRecord();
  }

  #isCurrent(): boolean {
    if (this.#record === undefined) return false;
    const { version, record, peerId } = this.#record;
    if (this.#needs.clock.nowMs() - version > RECORD_REFRESH_MS) return false;
    return equals(PeerRecordSchema, record, recordOf(peerId, version, this.#content()));
  }

  #content() {
    const { name, software, follower, level, trustHash } = this.#init;
    const addresses = this.#needs.network.addresses();
    return {
      name,
      software,
      follower,
      level,
      trustHash: trustHash(),
      addresses,
      ipfs: this.#ipfs,
      draining: this.#draining,
    };
  }

  #sayRecord(): void {
    if (this.#record !== undefined) this.#needs.publish({ case: 'record', value: this.#record.signed });
  }

  async #measure(): Promise<void> {
    const values = await this.#needs.readings.collect(this.#abort.signal);
    if (this.#abort.signal.aborted) return;
    const version = await this.#needs.versions.next();
    const metrics = openMetrics(signMetrics(this.#needs.signer, version, this.#init.metricsTtlMs, values));
    if (metrics === undefined) throw new Error('the metrics of this peer are over a limit');
    this.#metrics = metrics;
    this.#needs.onMetrics(metrics);
    this.#needs.publish({ case: 'metrics', value: metrics.signed });
  }

  #repeat(name: string, intervalMs: number, fraction: number, work: () => Promise<void>): void {
    const next = () => {
      if (this.#abort.signal.aborted) return;
      const delayMs = jittered(this.#needs.random, intervalMs, fraction);
      this.#timers.set(
        name,
        this.#needs.timers.after(delayMs, () => {
          void this.#run(work).then(next);
        }),
      );
    };
    next();
  }

  /** Never rejects: what fails is tried again with the next round. */
  #run(work: () => Promise<void>): Promise<void> {
    if (this.#abort.signal.aborted) return Promise.resolve();
    const done = work().catch((error) =>
      this.#needs.logger.error('speaking of this peer failed', { error: String(error) }),
    );
    this.#underWay.add(done);
    return done.finally(() => this.#underWay.delete(done));
  }
}
