import type { SignedForgotten } from '../../gen/pinfold/peer/v1/record_pb.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Signer } from '../runtime/ed25519.ts';
import type { Random } from '../runtime/random.ts';
import type { Storage } from '../storage/storage.ts';
import { FORGET_AFTER_MS, FORGOTTEN_MAX, HELLO_ENTRY_OVERHEAD_BYTES, HELLO_FORGOTTEN_BYTES_MAX } from './constants.ts';
import { isForgottenSigned, type OpenedForgotten, openForgotten, signForgotten } from './forgotten-record.ts';
import { ForgottenTable } from './forgotten-table.ts';
import type { OpenedRecord } from './records.ts';

export interface ForgottenMembersNeeds {
  storage: Pick<Storage, 'read' | 'transaction'>;
  /** Of this peer. */
  peerId: string;
  /** Whose word counts. */
  isTrusted(peerId: string): boolean;
  /** The record of a member; this peer's own, too. */
  record(peerId: string): OpenedRecord | undefined;
  /** Whether signatures that came through that peer may be verified now. */
  mayVerify(from: string): boolean;
  /** It is no member any more. */
  onForgotten(peerId: string, by: string): void;
  /** This peer was removed as of that version, and is here. */
  onSelf(version: number): void;
  /** Work that goes on and may fail. */
  inBackground(work: Promise<void>, failure: string): void;
  clock: Pick<Clock, 'nowMs'>;
  random: Pick<Random, 'float'>;
}

/**
 * Members that were removed (`peers rm`): the version of their last record counts, not when anyone said so, and a later record
 * makes them members again. As long as a record of theirs may still be brought by who did not hear of it, 30 days, it is
 * remembered.
 */
export class ForgottenMembers {
  readonly #needs: ForgottenMembersNeeds;
  readonly #table: ForgottenTable;
  readonly #forgotten = new Map<string, OpenedForgotten>();

  constructor(needs: ForgottenMembersNeeds) {
    this.#needs = needs;
    this.#table = new ForgottenTable(needs.storage);
    for (const signed of this.#table.load()) {
      const opened = openForgotten(signed);
      // Checked once more: a damaged row must not keep a member out.
      if (opened !== undefined && isForgottenSigned(opened, undefined)) this.#forgotten.set(opened.peerId, opened);
    }
  }

  get size(): number {
    return this.#forgotten.size;
  }

  /** Whether a record of that version counts no more. */
  covers(peerId: string, version: number): boolean {
    return version <= (this.#forgotten.get(peerId)?.version ?? 0);
  }

  /** A later record was taken in: it is a member again. */
  revived(peerId: string): void {
    if (this.#forgotten.delete(peerId)) this.#remove([peerId]);
  }

  /** This peer's own word about a member whose record this is. Resolves when it is on the disk. */
  async add(signer: Signer, last: OpenedRecord): Promise<SignedForgotten> {
    const forgottenMs = Math.trunc(this.#needs.clock.nowMs());
    const signed = signForgotten(signer, last.signed, forgottenMs);
    const { peerId, version } = last;
    await this.#install({ peerId, version, last, by: signer.peerId, forgottenMs, signed });
    return signed;
  }

  /** `live`: by gossip, where its author counts; else by a Hello, where who brings it may vouch for it (T1, T2). */
  judge(signed: SignedForgotten, { from, live }: { from: string; live: boolean }): 'accept' | 'ignore' | 'reject' {
    const opened = openForgotten(signed);
    if (opened === undefined) return 'reject';
    const { peerId, version, by } = opened;
    const { isTrusted, mayVerify, record, onSelf } = this.#needs;
    const known = record(peerId);
    if (this.covers(peerId, version) || (known !== undefined && known.version > version)) return 'ignore';
    const isSelf = peerId === this.#needs.peerId;
    if (!isSelf && (this.#isOld(opened) || !(isTrusted(by) || (!live && isTrusted(from))))) return 'ignore';
    if (!mayVerify(from)) return 'ignore';
    if (!isForgottenSigned(opened, known)) return 'reject';
    if (isSelf) {
      // Whoever trusts that word has forgotten this peer, which is alive.
      onSelf(version);
      return 'ignore';
    }
    this.#needs.inBackground(this.#install(opened), 'saving that a member is removed failed');
    return 'accept';
  }

  forHello(): SignedForgotten[] {
    const all = [...this.#forgotten.values()];
    const from = Math.floor(this.#needs.random.float() * all.length);
    let left = HELLO_FORGOTTEN_BYTES_MAX;
    const given: SignedForgotten[] = [];
    for (const { signed } of [...all.slice(from), ...all.slice(0, from)]) {
      left -= signed.forgotten.length + HELLO_ENTRY_OVERHEAD_BYTES;
      if (left < 0) break;
      given.push(signed);
    }
    return given;
  }

  /** What no record can come back from any more. */
  trim(): void {
    const old = [...this.#forgotten.values()].filter((opened) => this.#isOld(opened)).map(({ peerId }) => peerId);
    for (const peerId of old) this.#forgotten.delete(peerId);
    if (old.length > 0) this.#remove(old);
  }

  #isOld({ version, forgottenMs }: OpenedForgotten): boolean {
    return Math.max(version, forgottenMs) < this.#needs.clock.nowMs() - FORGET_AFTER_MS;
  }

  #install(opened: OpenedForgotten): Promise<void> {
    const { peerId, by, signed } = opened;
    this.#forgotten.delete(peerId);
    this.#forgotten.set(peerId, opened);
    if (this.#forgotten.size > FORGOTTEN_MAX) {
      const [first] = this.#forgotten.keys();
      if (first !== undefined) this.revived(first);
    }
    this.#needs.onForgotten(peerId, by);
    return this.#table.save(peerId, signed);
  }

  #remove(peerIds: readonly string[]): void {
    this.#needs.inBackground(this.#table.remove(peerIds), 'forgetting members that were removed failed');
  }
}
