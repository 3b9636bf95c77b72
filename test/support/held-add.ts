import { create } from '@bufbuild/protobuf';
import { AddRequestSchema } from '../../gen/pinfold/v1/pin_service_pb.ts';
import type { LocalPeer } from '../../scripts/local-cluster.ts';
import { seededBytes } from './seeded-bytes.ts';

/** An add to every peer that has sent half of its 16 MiB, and sends the rest when it is let go on. */
export class HeldAdd {
  /** The CID, when it is pinned. */
  readonly root: Promise<string>;
  readonly #rest = Promise.withResolvers<void>();

  constructor(peer: LocalPeer, name: string) {
    this.root = this.#run(peer, name);
    this.root.catch(() => {}); // A test that fails before it asks has its own error.
  }

  goOn(): void {
    this.#rest.resolve();
  }

  async #run(peer: LocalPeer, name: string): Promise<string> {
    let cid = '';
    for await (const { message } of peer.clients.pins.add(this.#requests(name)))
      if (message.case === 'root') cid = message.value.pin?.cid ?? '';
    return cid;
  }

  async *#requests(name: string) {
    const options = { replicationMin: -1, replicationMax: -1 };
    yield create(AddRequestSchema, { message: { case: 'start', value: { options } } });
    yield create(AddRequestSchema, { message: { case: 'entry', value: { path: name } } });
    yield* half(`${name}, first`);
    await this.#rest.promise;
    yield* half(`${name}, second`);
  }
}

/** 8 MiB, in messages of 1 MiB: 32 leaves. */
function* half(seed: string) {
  for (let i = 0; i < 8; i++)
    yield create(AddRequestSchema, { message: { case: 'data', value: seededBytes(`${seed} ${i}`, 1024 * 1024) } });
}
