/** What an operator does to the store of a running peer. */
export interface StoreKeeping {
  /** It writes on under a new incarnation. */
  renew(): Promise<void>;
  /** It leaves its store and joins the others anew. The folder that the store is moved to. Throws NOT_COVERED, LIMIT_REACHED. */
  rejoin(options: { force: boolean; signal: AbortSignal }): Promise<string>;
}

export interface StoreKeepingNeeds {
  store: {
    renew(): Promise<void>;
    prepareRejoin(options: { force: boolean; signal: AbortSignal }): Promise<void>;
  };
  /** Settles that the next start moves the store aside, and to where; on the disk when it resolves. */
  leaveStore(): Promise<string>;
  /** Restarts the peer, when whoever asked has its answer. */
  restart(): void;
}

export function storeKeeping({ store, leaveStore, restart }: StoreKeepingNeeds): StoreKeeping {
  return {
    renew: () => store.renew(),
    async rejoin(options) {
      await store.prepareRejoin(options);
      const setAside = await leaveStore();
      restart();
      return setAside;
    },
  };
}
