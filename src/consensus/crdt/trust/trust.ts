import type { TrustList as TrustListMessage } from '../../../../gen/pinfold/peer/v1/trust_pb.ts';
import { byteString } from '../../../model/bytes.ts';
import type { Random } from '../../../runtime/random.ts';
import type { Storage } from '../../../storage/storage.ts';
import { HELLO_TRUST_BYTES_MAX } from '../constants.ts';
import { type TrustingMember, type Unseen, unseenOf } from '../core/trust-reach.ts';
import { KnownLists } from './known-lists.ts';
import { configuredTrust, type TrustList, trustListOf, trustsAll } from './trust-list.ts';

/** What the records of the members say: the monitor knows them. */
export interface TrustMembers {
  /** This peer may be among them. */
  list(): readonly TrustMember[];
  /** One of them. */
  get(peerId: string): TrustMember | undefined;
}

interface TrustMember {
  readonly peerId: string;
  readonly follower: boolean;
  readonly trustHash: Uint8Array;
}

/** `unknown`: the record of that peer names a list that is not known here; `gone`: it is no member any more. */
type MemberListener = (peerId: string, what: 'unknown' | 'gone') => void;

export interface TrustInit {
  peerId: string;
  /** As configured; `*`: all. */
  trustedPeers: readonly string[];
}

export interface TrustNeeds {
  /** Opened with `crdtTables`. */
  storage: Pick<Storage, 'read' | 'transaction'>;
  members: TrustMembers;
  random: Random;
}

/** Section 7: whom this peer trusts, whom the others trust, and what that means for what this peer writes. */
export class Trust {
  readonly #peerId: string;
  readonly #needs: TrustNeeds;
  readonly #lists: KnownLists;
  readonly #listeners = new Set<() => void>();
  readonly #memberListeners = new Set<MemberListener>();
  /** By author, until something changes that they rest on. */
  readonly #unseen = new Map<string, Unseen>();
  #own: TrustList;

  constructor({ peerId, trustedPeers }: TrustInit, needs: TrustNeeds) {
    this.#peerId = peerId;
    this.#needs = needs;
    this.#own = configuredTrust(trustedPeers);
    this.#lists = new KnownLists(needs.storage);
  }

  get own(): TrustList {
    return this.#own;
  }

  isTrusted(peerId: string): boolean {
    return peerId === this.#peerId || this.#own.has(peerId);
  }

  /** Takes effect at once, for what is under way, too. Keeping it over a restart is the caller's. */
  change(peerIds: readonly string[] | 'all'): void {
    this.#own = peerIds === 'all' ? trustsAll : trustListOf(peerIds);
    this.#unseen.clear();
    for (const listener of this.#listeners) listener();
  }

  /** Called when this peer's own list is another. Returns the unsubscriber. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Returns the unsubscriber. */
  onMember(listener: MemberListener): () => void {
    this.#memberListeners.add(listener);
    return () => this.#memberListeners.delete(listener);
  }

  /** The record of that member was taken in, or it is no member any more. */
  memberChanged(peerId: string): void {
    this.#unseen.clear();
    if (this.listOf(peerId) !== undefined) return;
    const what = this.#needs.members.get(peerId) === undefined ? 'gone' : 'unknown';
    for (const listener of this.#memberListeners) listener(peerId, what);
  }

  /** Whom a member trusts; undefined: its record is not here, or its list not yet. */
  listOf(peerId: string): TrustList | undefined {
    if (peerId === this.#peerId) return this.#own;
    const member = this.#needs.members.get(peerId);
    return member && this.#lists.get(member.trustHash);
  }

  /** What is known of the members, this peer maybe among them. */
  members(): readonly { peerId: string; follower: boolean }[] {
    return this.#needs.members.list();
  }

  /** T4, for what was written by `author`, which is here, too. */
  unseen(author = this.#peerId): Unseen {
    const known = this.#unseen.get(author);
    if (known !== undefined) return known;
    const unseen = unseenOf([...new Set([this.#peerId, author])], this.#trusting());
    this.#unseen.set(author, unseen);
    return unseen;
  }

  forHello(): TrustListMessage[] {
    const given = new Map<string, TrustList>();
    if (!this.#own.isAll) given.set(byteString(this.#own.hash), this.#own);
    const members = this.#needs.members.list();
    const from = Math.floor(this.#needs.random.float() * members.length);
    for (const { trustHash } of [...members.slice(from), ...members.slice(0, from)]) {
      const list = this.#lists.get(trustHash);
      if (list !== undefined && !list.isAll) given.set(byteString(trustHash), list);
    }
    return fitting([...given.values()].map(({ message }) => message));
  }

  /** Of Hellos and reports, after the records that came with them: kept is what a record names. */
  receive(messages: readonly TrustListMessage[]): void {
    if (messages.length === 0) return;
    const named = new Set(this.#needs.members.list().map(({ trustHash }) => byteString(trustHash)));
    if (this.#lists.add(messages, named)) this.#unseen.clear();
  }

  #trusting(): TrustingMember[] {
    return this.#needs.members
      .list()
      .filter(({ peerId }) => peerId !== this.#peerId)
      .map(({ peerId, follower, trustHash }) => ({
        peerId,
        isFollower: follower,
        trusts: this.#lists.get(trustHash),
      }));
  }
}

/** Of a cluster in which peers are alike and few trust lists are different, all fit. */
function fitting(messages: readonly TrustListMessage[]): TrustListMessage[] {
  let left = HELLO_TRUST_BYTES_MAX;
  return messages.filter(({ peerIds }) => {
    left -= peerIds.length * peerIdMessageBytes + peerIdMessageBytes;
    return left >= 0;
  });
}

/** A binary peer ID with its tag and length. */
const peerIdMessageBytes = 40;

/** All trust all: where there are no trust lists. */
export function trustOfAll({
  storage,
  network,
  random,
}: Omit<TrustNeeds, 'members'> & { network: { peerId: string } }) {
  const members = { list: () => [], get: () => undefined };
  return new Trust({ peerId: network.peerId, trustedPeers: ['*'] }, { storage, random, members });
}
