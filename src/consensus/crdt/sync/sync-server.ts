import { create } from '@bufbuild/protobuf';
import {
  CaughtUpSchema,
  FullNeededSchema,
  type SyncRequest,
  type SyncResponse,
  SyncResponseSchema,
} from '../../../../gen/pinfold/peer/v1/service_pb.ts';
import { byteString } from '../../../model/bytes.ts';
import { PinfoldError } from '../../../model/errors.ts';
import { mark } from '../../../runtime/mark.ts';
import { type LoggedBatch, packRun } from '../codec/batch-run.ts';
import { clockEntry, type HeardEntry, readClock } from '../codec/clock-entries.ts';
import type { BatchParts } from '../codec/signed-batch.ts';
import { EXCEPT_AUTHORS_MAX, FOLLOWS_SERVED_MAX, RUN_BYTES_MAX } from '../constants.ts';
import type { Batch } from '../core/types.ts';
import { LogDamaged } from '../log/kept-batch.ts';
import type { CrdtOptions } from '../options.ts';
import type { Replica } from '../state/replicas.ts';
import type { CrdtStore } from '../state/store.ts';
import { LogReader } from './log-reader.ts';

export interface SyncServerNeeds {
  options: Pick<CrdtOptions, 'syncsServedMax'>;
  store: CrdtStore;
  /** A peer told how far it is, or how far its shadow is. */
  onClock(from: string, clock: readonly HeardEntry[], isShadow: boolean): void;
}

/** S2, S3 and S5: what this peer has and the caller lacks. */
export class SyncServer {
  readonly #needs: SyncServerNeeds;
  #served = 0;
  #followed = 0;

  constructor(needs: SyncServerNeeds) {
    this.#needs = needs;
  }

  async *serve(request: SyncRequest, context: { peerId: string; signal: AbortSignal }): AsyncGenerator<SyncResponse> {
    const clock = readClock(request.clock);
    this.#needs.onClock(context.peerId, clock, request.shadow);
    this.#admit(request.follow);
    try {
      yield* this.#stream(clock, request, context.signal);
    } finally {
      if (request.follow) this.#followed--;
      else this.#served--;
    }
  }

  #admit(follow: boolean): void {
    if (follow ? this.#followed >= FOLLOWS_SERVED_MAX : this.#served >= this.#needs.options.syncsServedMax) {
      mark('crdt sync: as many as can be are served');
      throw new PinfoldError('LIMIT_REACHED', 'this peer serves as many Syncs as it can');
    }
    if (follow) this.#followed++;
    else this.#served++;
  }

  async *#stream(
    clock: readonly HeardEntry[],
    { follow, exceptAuthors }: SyncRequest,
    signal: AbortSignal,
  ): AsyncGenerator<SyncResponse> {
    const { store } = this.#needs;
    const { replicas } = store;
    const log = new LogReader(clock, (replica, sequence) => store.loggedAsSigned(replica, sequence));
    const direct = new DirectAuthors(exceptAuthors, replicas.sorted());
    const run = new Run();
    for (let round = 0; ; round++) {
      const version = replicas.flushedVersion;
      for (;;) {
        signal.throwIfAborted();
        direct.skip(log, replicas.sorted());
        // Also in the middle of it: the log may be cut, or a swap jump over what it never had.
        if (log.isBelowFloor(replicas.sorted())) {
          mark(
            round === 0 ? 'crdt sync: the log was cut below the caller' : 'crdt sync: the log was cut below a follower',
          );
          yield* run.taken();
          return yield fullNeeded(store);
        }
        const next = nextOf(log, replicas.sorted());
        if (next === 'damaged') continue;
        if (next === undefined) break;
        const { batch } = next;
        if (!run.hasRoom(batch)) yield* run.taken();
        run.add(batch, batch.head.last <= (replicas.taken(next.replica.ridText)?.wantedSequence ?? 0));
      }
      yield* run.taken();
      if (round === 0) yield caughtUp;
      if (!follow) return;
      await store.waitFlushed(version, signal);
    }
  }
}

/** 'damaged': and the floor has risen above it. Otherwise throws LogDamaged. */
function nextOf(log: LogReader, replicas: readonly Replica[]): ReturnType<LogReader['next']> | 'damaged' {
  try {
    return log.next(replicas);
  } catch (problem) {
    if (problem instanceof LogDamaged && log.isBelowFloor(replicas)) return 'damaged';
    throw problem;
  }
}

/** Batches that go in one message, so that small ones share what a message costs, and leave out headers. */
class Run {
  #batches: LoggedBatch[] = [];
  #bytes = 0;

  hasRoom(parts: BatchParts): boolean {
    return this.#bytes + bytesOf(parts) <= RUN_BYTES_MAX;
  }

  add(batch: Batch, wantAck: boolean): void {
    this.#batches.push({ parts: { ...batch, wantAck }, head: batch.head });
    this.#bytes += bytesOf(batch);
  }

  *taken(): Generator<SyncResponse> {
    if (this.#batches.length === 0) return;
    yield create(SyncResponseSchema, { message: { case: 'batches', value: packRun(this.#batches) } });
    this.#batches = [];
    this.#bytes = 0;
  }
}

function bytesOf({ header, signature, ops }: BatchParts): number {
  return header.length + signature.length + ops.length;
}

/** Authors whose batches reach the caller directly: of them it is sent what was there when the call began, and no more. */
class DirectAuthors {
  readonly #authors: ReadonlySet<string>;
  /** By rid as text: up to where it is sent. */
  readonly #until: ReadonlyMap<string, number>;

  constructor(authors: readonly Uint8Array[], replicas: readonly Replica[]) {
    if (authors.length > EXCEPT_AUTHORS_MAX) {
      throw new PinfoldError('INVALID_ARGUMENT', `${authors.length} authors; at most ${EXCEPT_AUTHORS_MAX}`);
    }
    this.#authors = new Set(authors.map(byteString));
    this.#until = new Map(replicas.map(({ ridText, flushedSequence }) => [ridText, flushedSequence]));
  }

  skip(log: LogReader, replicas: readonly Replica[]): void {
    if (this.#authors.size === 0) return;
    for (const { author, ridText, flushedSequence } of replicas) {
      if (!this.#authors.has(byteString(author))) continue;
      if (log.sentOf(ridText) >= (this.#until.get(ridText) ?? 0)) log.skip(ridText, flushedSequence);
    }
  }
}

const caughtUp = create(SyncResponseSchema, { message: { case: 'caughtUp', value: create(CaughtUpSchema) } });

function fullNeeded({ replicas }: CrdtStore): SyncResponse {
  const floor = replicas.sorted().map((replica) => clockEntry(replica.rid, replica.floor, new Uint8Array(0)));
  const value = create(FullNeededSchema, { floor });
  return create(SyncResponseSchema, { message: { case: 'fullNeeded', value } });
}
