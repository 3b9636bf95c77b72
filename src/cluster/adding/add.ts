import { hash } from 'node:crypto';
import type { AddEntry, Added, Adder, AddOptions, AddProgress } from '../../adder/adder.ts';
import type { ImportOptions } from '../../adder/import-options.ts';
import type { AckLevel } from '../../consensus/consensus.ts';
import type { CallContext } from '../../model/call-context.ts';
import { checkCid, toV1 } from '../../model/cid.ts';
import { invalidField, PinfoldError } from '../../model/errors.ts';
import { everywhere } from '../../model/pin.ts';
import { mergeSignals } from '../../runtime/abort.ts';
import { BoundedQueue } from '../../runtime/bounded-queue.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { Pins, PinWrite, WriteOptions, Written } from '../pins.ts';
import type { Placing } from '../placing.ts';
import { ADD_EVENTS_WAITING_MAX, ADDS_MAX, PROGRESS_STEP_BLOCKS, PROGRESS_STEP_BYTES } from './constants.ts';
import { type Destination, type DestinationProgress, Destinations } from './destinations.ts';

/** Takes content in, has it stored by the peers that are to keep it, and pins it there. */
export type AddContent = (start: AddStart, content: AddedContent, call: CallContext) => AsyncIterable<AddEvent>;

export interface AddStart {
  namespace: string;
  options: PinWrite['options'];
  /** Blocks go to this peer's node only; the other allocations fetch them from it. */
  local: boolean;
  /** Of what was added only the roots are told. */
  quiet: boolean;
  ack: AckLevel;
  idempotency: WriteOptions['idempotency'];
}

export type AddedContent =
  | { kind: 'files'; entries: AsyncIterable<AddEntry>; wrapWithDirectory: boolean; import: ImportOptions }
  | { kind: 'car'; bytes: AsyncIterable<Uint8Array> };

export type AddEvent =
  | { kind: 'progress'; bytes: number; blocks: number; destinations: readonly DestinationProgress[] }
  | { kind: 'added'; added: Added }
  | { kind: 'pinned'; written: Written };

export interface AddNeeds {
  peerId: string;
  adder: Adder;
  pins: Pick<Pins, 'pin' | 'plan'>;
  placing: Pick<Placing, 'peers'>;
  /** For one add. */
  destination: (peerId: string) => Destination;
  logger: Logger;
}

/** Members that are not there, or would not take it. */
const absent: ReadonlySet<string | undefined> = new Set(['LOST', 'DOWN', 'SUSPECT', 'UNTRUSTED']);

/**
 * The pin is committed when the peers that it lies on have all blocks on their disks. A stream that breaks pins nothing. Until their nodes have
 * a record of the pins, blocks are protected from the collectors: a commit alone holds no block.
 */
export function addContent(needs: AddNeeds): AddContent {
  let underWay = 0;
  return async function* add(start, content, call) {
    // A CID as good as any: what would be refused is refused before content is read.
    needs.pins.plan({ ...start, cid: anyCid }, start.ack, call);
    if (underWay >= ADDS_MAX) {
      throw new PinfoldError('LIMIT_REACHED', `this peer has ${ADDS_MAX} adds under way already; try again later`, {
        retryAfterMs: 1_000,
      });
    }
    underWay++;
    using scope = mergeSignals(call.signal);
    const run = new AddRun(needs, start, { ...call, signal: scope.signal });
    const working = run.work(content);
    try {
      yield* run.events;
    } finally {
      scope.abort(new PinfoldError('CANCELLED', 'the caller has gone away'));
      await working;
      underWay--;
    }
  };
}

class AddRun {
  readonly events = new BoundedQueue<AddEvent>({ limit: ADD_EVENTS_WAITING_MAX });
  readonly #needs: AddNeeds;
  readonly #start: AddStart;
  readonly #call: CallContext;
  readonly #destinations: Destinations;
  readonly #pinned: Uint8Array[] = [];
  #sofar: AddProgress = { bytes: 0, blocks: 0 };
  #told: AddProgress = { bytes: 0, blocks: 0 };

  constructor(needs: AddNeeds, start: AddStart, call: CallContext) {
    this.#needs = needs;
    this.#start = start;
    this.#call = call;
    this.#destinations = new Destinations({
      choose: (first) => this.#choose(first),
      open: needs.destination,
      onFailure: (peerId, error) => needs.logger.warn('a peer gets no more of an add', { peerId, error }),
    });
  }

  /** Ends the events when all is pinned, or with what failed. Never rejects. */
  async work(content: AddedContent): Promise<void> {
    try {
      await this.#work(content);
      this.events.close();
    } catch (failure) {
      this.events.fail(failure);
    } finally {
      // Also of what failed half way some may be pinned.
      this.#destinations.end(this.#pinned);
    }
  }

  async #work(content: AddedContent): Promise<void> {
    const { signal } = this.#call;
    const roots: Added[] = [];
    for await (const added of this.#made(content)) {
      if (added.isRoot) {
        // Some CIDs have their content in them, and are too long to be pinned: told before any other root is.
        checkCid(added.cid, 'root');
        roots.push(added);
      }
      if (added.isRoot || !this.#start.quiet) await this.events.push({ kind: 'added', added }, { signal });
    }
    if (roots.length === 0) throw invalidField('entry', 'nothing was added: send at least one file or directory');
    await this.#destinations.prepare({ signal });
    await this.events.push(this.#progress(), { signal });
    for (const root of roots) {
      // Before its answer, which may be lost.
      this.#pinned.push(toV1(root.cid));
      await this.events.push({ kind: 'pinned', written: await this.#pin(root) }, { signal });
    }
  }

  #made(content: AddedContent): AsyncIterable<Added> {
    const { signal } = this.#call;
    const { adder } = this.#needs;
    const common = { signal, onProgress: (sofar: AddProgress) => this.#onProgress(sofar) };
    if (content.kind === 'car') return adder.importCar(content.bytes, this.#destinations, common);
    const options: AddOptions = { ...common, wrapWithDirectory: content.wrapWithDirectory, import: content.import };
    return adder.add(content.entries, this.#destinations, options);
  }

  #onProgress(sofar: AddProgress): void {
    this.#sofar = sofar;
    const { bytes, blocks } = this.#told;
    if (sofar.bytes - bytes < PROGRESS_STEP_BYTES && sofar.blocks - blocks < PROGRESS_STEP_BLOCKS) return;
    this.#told = { ...sofar };
    // A reader that is behind needs no old news.
    this.events.offer(this.#progress());
  }

  #progress(): AddEvent {
    const destinations = this.#destinations.progress.map((progress) => ({ ...progress }));
    return { kind: 'progress', ...this.#sofar, destinations };
  }

  #choose(first: Uint8Array): { peerIds: readonly string[]; min: number } {
    const { peerId, pins, placing } = this.#needs;
    const plan = pins.plan({ ...this.#start, cid: first }, this.#start.ack, this.#call);
    if (this.#start.local) return { peerIds: [peerId], min: 1 };
    if (plan.replicationMin !== everywhere) return { peerIds: plan.peerIds, min: plan.replicationMin };
    const present = placing.peers.filter((peer) => peer.peerId === peerId || !absent.has(peer.reason?.code));
    return { peerIds: present.map((peer) => peer.peerId), min: 1 };
  }

  #pin(root: Added): Promise<Written> {
    const { namespace, options, ack, idempotency } = this.#start;
    const name = options.name === '' ? root.path : options.name;
    const write: PinWrite = {
      kind: 'pin',
      cid: root.cid,
      namespace,
      options: { ...options, name, mode: 'recursive' },
      condition: undefined,
      must: this.#destinations.peerIds,
    };
    return this.#needs.pins.pin(write, { ack, idempotency: idempotencyOf(root, idempotency) }, this.#call);
  }
}

/** SHA-256 of nothing, as a raw block: version 1, codec, hash function, length. */
const anyCid = Buffer.concat([Uint8Array.of(1, 0x55, 0x12, 32), hash('sha256', '', 'buffer')]);

/** One call may have several roots: each pin has a key of its own, made from the call's. */
function idempotencyOf(root: Added, call: WriteOptions['idempotency']): WriteOptions['idempotency'] {
  if (call === undefined) return undefined;
  const of = (bytes: Uint8Array) => hash('sha256', Buffer.concat([bytes, root.cid]), 'buffer').subarray(0, 16);
  return { key: of(call.key), request: of(call.request) };
}
