import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  WriteOperationSchema,
  type WritePinsRequest,
  WritePinsRequestSchema,
} from '../../gen/pinfold/v1/pin_service_pb.ts';
import type { LocalPeer } from '../../scripts/local-cluster.ts';
import { type BulkResult, writeInBulk } from '../../src/cli/bulk.ts';

const operationsPerMessage = 50;

type Operation = MessageInitShape<typeof WriteOperationSchema>;

/** Writes all through WritePins; throws when one is refused. */
export async function writeAll(peer: LocalPeer, operations: readonly Operation[]): Promise<void> {
  async function* source() {
    for (const operation of operations) yield { cid: '', operation: create(WriteOperationSchema, operation) };
  }
  const refused: BulkResult[] = [];
  let done = 0;
  for await (const result of writeInBulk(peer.clients, source())) {
    done++;
    if (result.failure !== undefined) refused.push(result);
  }
  if (refused.length > 0) throw new Error(`${refused.length} operations refused: ${JSON.stringify(refused[0])}`);
  if (done !== operations.length) throw new Error(`${done} of ${operations.length} operations were answered`);
}

/** One bulk stream with its key, and what its client knows of it. */
export class BulkStream {
  readonly failures: unknown[] = [];
  /** Up to this number everything was acknowledged. */
  decided = 0;
  resumedFrom = -1;
  readonly #key: string;
  readonly #cids: readonly string[];

  constructor(key: string, cids: readonly string[]) {
    this.#key = key;
    this.#cids = cids;
  }

  /** From where the peer says, to the end, or until the connection is cut. */
  async run(peer: LocalPeer): Promise<void> {
    let go: (from: number) => void = () => {};
    const started = new Promise<number>((resolve) => {
      go = resolve;
    });
    const cids = this.#cids;
    const streamKey = this.#key;
    async function* requests(): AsyncIterable<WritePinsRequest> {
      yield create(WritePinsRequestSchema, { message: { case: 'start', value: { streamKey } } });
      for (let next = await started; next < cids.length; next += operationsPerMessage) {
        const operations = cids
          .slice(next, next + operationsPerMessage)
          .map((cid) => ({ operation: { case: 'pin' as const, value: { cid } } }));
        yield create(WritePinsRequestSchema, {
          message: { case: 'batch', value: { first: BigInt(next + 1), operations } },
        });
      }
    }
    try {
      for await (const { message } of peer.clients.pins.writePins(requests())) {
        if (message.case === 'started') {
          this.resumedFrom = Number(message.value.decided);
          this.decided = this.resumedFrom;
          go(this.resumedFrom);
        } else if (message.case === 'decided') {
          this.decided = Number(message.value.last);
          this.failures.push(...message.value.failures);
        }
      }
    } finally {
      go(cids.length);
    }
  }

  /** Those of the first so many that are not in the pinset of that peer. */
  async missing(peer: LocalPeer, first: number): Promise<string[]> {
    const there = new Set<string>();
    for await (const page of peer.clients.pins.listPins({})) for (const { cid } of page.pins) there.add(cid);
    return this.#cids.slice(0, first).filter((cid) => !there.has(cid));
  }
}
