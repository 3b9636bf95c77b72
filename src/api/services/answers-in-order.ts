import type { WritePinsResponse } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { type Deferred, deferred } from '../../runtime/deferred.ts';
import {
  bulkMessagesInFlightMax,
  bulkOperationsInFlightMax,
  bulkOperationsOfAllMax,
  bulkWaitsMax,
} from '../constants.ts';
import { type DecidedRun, weightOf } from './decided-runs.ts';

/** Operations of all bulk streams that are on their way to the disk. */
export interface BulkLoad {
  operations: number;
}

interface Message {
  readonly operations: number;
  /** They are on the disk. */
  isDecided: boolean;
  /** Held in memory while it waits for its level. */
  weight: number;
  responses: readonly WritePinsResponse[] | undefined;
  failure: { error: unknown } | undefined;
}

/**
 * The messages of one bulk stream that are not answered yet, in their order. On the way to the disk are few, for their operations are in
 * memory; those that wait for a level may be many, so that a level that is not reached does not stall the stream.
 */
export class AnswersInOrder {
  readonly #load: BulkLoad;
  readonly #isWaitingMuch: () => boolean;
  readonly #messages: Message[] = [];
  #operations = 0;
  #undecided = 0;
  #weight = 0;
  #changed: Deferred<void> = deferred();
  /** One of them failed: nothing more is to be taken. */
  hasFailed = false;

  constructor(load: BulkLoad, isWaitingMuch: () => boolean) {
    this.#load = load;
    this.#isWaitingMuch = isWaitingMuch;
  }

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  get isFull(): boolean {
    if (this.isEmpty) return false;
    const isMuch = this.#operations >= bulkOperationsInFlightMax || this.#load.operations >= bulkOperationsOfAllMax;
    const isWaiting = this.#weight > 0 && (this.#weight >= bulkWaitsMax || this.#isWaitingMuch());
    return isMuch || isWaiting || this.#undecided >= bulkMessagesInFlightMax;
  }

  /** Resolves when a message is decided or answered next. */
  get changed(): Promise<void> {
    return this.#changed.promise;
  }

  add(
    decided: Promise<DecidedRun[]>,
    operations: number,
    answer: (run: DecidedRun) => Promise<WritePinsResponse>,
  ): void {
    const message: Message = { operations, isDecided: false, weight: 0, responses: undefined, failure: undefined };
    this.#messages.push(message);
    this.#undecided++;
    this.#counted(operations);
    decided
      .then((runs) => {
        this.#decided(message);
        message.weight = runs.reduce((sum, run) => sum + weightOf(run), 0);
        this.#weight += message.weight;
        return Promise.all(runs.map(answer));
      })
      .then(
        (responses) => {
          message.responses = responses;
        },
        (error) => {
          this.#decided(message);
          message.failure = { error };
          this.hasFailed = true;
        },
      )
      .then(() => this.#wake());
  }

  /** The answer to the oldest message, if it is there. Throws what it failed with. */
  next(): readonly WritePinsResponse[] | undefined {
    const oldest = this.#messages[0];
    if (oldest?.failure !== undefined) throw oldest.failure.error;
    if (oldest?.responses === undefined) return undefined;
    this.#messages.shift();
    this.#weight -= oldest.weight;
    return oldest.responses;
  }

  /** Nobody waits for the rest. */
  close(): void {
    for (const message of this.#messages) this.#decided(message);
  }

  #decided(message: Message): void {
    if (message.isDecided) return;
    message.isDecided = true;
    this.#undecided--;
    this.#counted(-message.operations);
    this.#wake();
  }

  #counted(change: number): void {
    this.#operations += change;
    this.#load.operations += change;
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = deferred();
    resolve();
  }
}
