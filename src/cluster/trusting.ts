import { invalidField } from '../model/errors.ts';
import { checkPeerId } from '../model/peer-id.ts';

/** Whom this peer trusts, and what is known of the others; of a consensus that takes operations by trust. */
export interface TrustPort {
  readonly own: { readonly peerIds: readonly string[] | 'all' };
  /** Of a member; undefined: not known. */
  listOf(peerId: string): { readonly peerIds: readonly string[] | 'all' } | undefined;
  unseen(): { readonly unseenBy: readonly string[] };
  /** Takes effect at once. */
  change(peerIds: readonly string[] | 'all'): void;
}

export interface TrustingInit {
  peerId: string;
  /** Peers on a list, at most. */
  trustedPeersMax: number;
}

export interface TrustingNeeds {
  trust: TrustPort;
  /** Keeps the list over restarts; rejects when it cannot, and then nothing changes. */
  save(peerIds: readonly string[] | 'all'): Promise<void>;
}

export interface TrustChange {
  /** What the list is before the rest. */
  replace: readonly string[] | 'all' | undefined;
  add: readonly string[];
  remove: readonly string[];
}

export interface Trusting {
  /** The list as it then is. One change after the other. */
  change(change: TrustChange): Promise<readonly string[] | 'all'>;
}

export function trusting({ peerId, trustedPeersMax }: TrustingInit, { trust, save }: TrustingNeeds): Trusting {
  let changing: Promise<unknown> = Promise.resolve();

  function changed({ replace, add, remove }: TrustChange): readonly string[] | 'all' {
    const before = replace ?? trust.own.peerIds;
    check(replace === 'all' ? [] : (replace ?? []), 'replace.peer_ids');
    check(add, 'add');
    check(remove, 'remove');
    if (remove.includes(peerId)) throw invalidField('remove', 'a peer always trusts itself');
    if (before === 'all') {
      if (add.length === 0 && remove.length === 0) return 'all';
      const field = add.length > 0 ? 'add' : 'remove';
      throw invalidField(field, 'this peer trusts all peers; to take what some write and no more, replace the list');
    }
    const after = [...new Set([...before, ...add])].filter((other) => !remove.includes(other));
    if (after.length > trustedPeersMax) throw invalidField('add', `at most ${trustedPeersMax} peers can be listed`);
    return after;
  }

  async function apply(change: TrustChange): Promise<readonly string[] | 'all'> {
    const after = changed(change);
    const { replace, add, remove } = change;
    if (replace === undefined && add.length === 0 && remove.length === 0) return after;
    await save(after);
    trust.change(after);
    return after;
  }

  return {
    change(change) {
      const next = changing.then(() => apply(change));
      changing = next.catch(() => {});
      return next;
    },
  };
}

function check(peerIds: readonly string[], field: string): void {
  for (const peerId of peerIds) checkPeerId(peerId, field);
}
