import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { type SignedPeerRecord, SignedPeerRecordSchema } from '../../gen/pinfold/peer/v1/record_pb.ts';
import { formatPeerId, parsePeerId } from '../model/peer-id.ts';
import type { Storage, TableSpec } from '../storage/storage.ts';

export const memberRows = 'members';
const versionRows = 'monitor';

/** To be opened with the store. */
export const monitorTables: readonly TableSpec[] = [
  // Binary peer ID -> 8 bytes last heard (ms, big-endian), SignedPeerRecord.
  { name: memberRows },
  // "version" -> 8 bytes: all versions that this peer signed are at most that.
  { name: versionRows },
  { name: 'members_forgotten' },
];

export interface MemberRow {
  peerId: string;
  signed: SignedPeerRecord;
  /** Wall clock; coarse. */
  heardMs: number;
}

/** What the monitor keeps on disk. Writes are queued and reported as failed through their promise. */
export class MemberTable {
  readonly #storage: Pick<Storage, 'read' | 'transaction'>;

  constructor(storage: Pick<Storage, 'read' | 'transaction'>) {
    this.#storage = storage;
  }

  /** All rows; `damaged` counts those that cannot be read (they come again by gossip). */
  load(): { rows: MemberRow[]; damaged: number } {
    const rows: MemberRow[] = [];
    let damaged = 0;
    for (const { key, value } of this.#storage.read.range(memberRows)) {
      try {
        rows.push({
          peerId: formatPeerId(key),
          heardMs: readNumber(value),
          signed: fromBinary(SignedPeerRecordSchema, value.subarray(8)),
        });
      } catch {
        damaged++;
      }
    }
    return { rows, damaged };
  }

  async save(rows: readonly MemberRow[]): Promise<void> {
    await this.#storage.transaction((tx) => {
      for (const { peerId, signed, heardMs } of rows) {
        const bytes = toBinary(SignedPeerRecordSchema, signed);
        tx.put(memberRows, parsePeerId(peerId), Buffer.concat([numberBytes(heardMs), bytes]));
      }
    }).flushed;
  }

  async remove(peerIds: readonly string[]): Promise<void> {
    await this.#storage.transaction((tx) => {
      for (const peerId of peerIds) tx.remove(memberRows, parsePeerId(peerId));
    }).flushed;
  }

  loadVersion(): number {
    const value = this.#storage.read.get(versionRows, versionKey);
    return value?.length === 8 ? readNumber(value) : 0;
  }

  async saveVersion(version: number): Promise<void> {
    await this.#storage.transaction((tx) => tx.put(versionRows, versionKey, numberBytes(version))).flushed;
  }
}

const versionKey = Buffer.from('version');

function numberBytes(number: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(Math.max(0, Math.trunc(number))));
  return bytes;
}

function readNumber(bytes: Uint8Array): number {
  return Number(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readBigUInt64BE());
}
