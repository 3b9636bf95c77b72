import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { type SignedForgotten, SignedForgottenSchema } from '../../gen/pinfold/peer/v1/record_pb.ts';
import { parsePeerId } from '../model/peer-id.ts';
import type { Storage, Transaction } from '../storage/storage.ts';
import { memberRows } from './member-table.ts';

/** Binary peer ID -> SignedForgotten. */
export const forgottenRows = 'members_forgotten';

/** Members that were removed, on disk. */
export class ForgottenTable {
  readonly #storage: Pick<Storage, 'read' | 'transaction'>;

  constructor(storage: Pick<Storage, 'read' | 'transaction'>) {
    this.#storage = storage;
  }

  /** What cannot be read is left out: it comes again with a Hello. */
  load(): SignedForgotten[] {
    const rows: SignedForgotten[] = [];
    for (const { value } of this.#storage.read.range(forgottenRows)) {
      try {
        rows.push(fromBinary(SignedForgottenSchema, value));
      } catch {}
    }
    return rows;
  }

  /** Together with the end of the member's own row: after a crash it is a member or it is not. */
  async save(peerId: string, forgotten: SignedForgotten): Promise<void> {
    await this.#write((tx) => {
      tx.put(forgottenRows, parsePeerId(peerId), toBinary(SignedForgottenSchema, forgotten));
      tx.remove(memberRows, parsePeerId(peerId));
    });
  }

  async remove(peerIds: readonly string[]): Promise<void> {
    await this.#write((tx) => {
      for (const peerId of peerIds) tx.remove(forgottenRows, parsePeerId(peerId));
    });
  }

  async #write(change: (tx: Transaction) => void): Promise<void> {
    await this.#storage.transaction(change).flushed;
  }
}
