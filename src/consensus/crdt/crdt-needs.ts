import type { Network } from '../../network/network.ts';
import type { Pinset } from '../../pinset/pinset.ts';
import type { Clock, Timers } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { MetricsRegister } from '../../runtime/metrics.ts';
import type { Random } from '../../runtime/random.ts';
import type { Storage } from '../../storage/storage.ts';
import type { HelloRecords } from './meeting.ts';
import type { CrdtOptions } from './options.ts';
import type { Trust } from './trust/trust.ts';

export interface CrdtInit extends CrdtOptions {
  /** Takes no writes, and nobody takes state from it. */
  follower: boolean;
  /** Addresses of peers to begin with. Empty: with an empty store this is the first peer of its cluster. */
  bootstrap: readonly string[];
  /** Whether it remembers addresses of peers, bootstrap or not: then it is not the first. Default: no. */
  knowsOthers?: boolean;
}

export interface CrdtNeeds {
  /** Opened with `crdtTables`. */
  storage: Storage;
  pinset: Pinset;
  network: Pick<Network, 'peerId' | 'connected' | 'onConnection' | 'gossip' | 'rpc'>;
  /** Of the peer's identity key, Ed25519. */
  signer: { sign(bytes: Uint8Array): Uint8Array };
  /** What tells this store from a copy of it (N1): inode of the data file and a nonce kept beside it. */
  identityStamp(): Promise<Uint8Array>;
  hello: HelloRecords;
  /** Too little free disk: own writes are refused (C4) and nothing is taken from others until there is room. Default: never. */
  isDiskLow?(): boolean;
  /** Bytes free on the disk of the store, as last looked at. Default: as much as one likes. */
  freeDiskBytes?(): number;
  /** Section 7. Default: all peers of the private network are trusted, by all. */
  trust?: Trust;
  clock: Clock;
  timers: Timers;
  random: Random;
  logger: Logger;
  metrics: MetricsRegister;
}
