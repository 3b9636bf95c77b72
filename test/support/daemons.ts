import { hash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { ConnectError } from '@connectrpc/connect';
import t from 'tap';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { type PeerPinStatus, TrackerStatus } from '../../gen/pinfold/v1/pin_pb.ts';
import type { WatchEvent, WatchPinsRequestSchema, WatchPinsResponse } from '../../gen/pinfold/v1/pin_service_pb.ts';
import { acquainted, type LocalPeer, localPeer, peerOfFolder, until } from '../../scripts/local-cluster.ts';
import { formatCid } from '../../src/model/cid.ts';

export { acquainted };

/** Daemon processes of one test file, with their folders; all are gone when the file ends, however it ends. */
export interface Daemons {
  readonly root: string;
  readonly secretFile: string;
  /** A folder made by `init`, not started. */
  make(name: string, flags?: readonly string[]): Promise<LocalPeer>;
  /** The peer of a folder that is there. */
  adopt(folder: string, name: string): Promise<LocalPeer>;
  /** So many peers, started and acquainted. */
  cluster(count: number, flags?: readonly string[]): Promise<LocalPeer[]>;
}

export async function daemons(): Promise<Daemons> {
  const root = await mkdtemp(join(tmpdir(), 'pinfold-e2e-'));
  const secretFile = join(root, 'secret.txt');
  await writeFile(secretFile, randomBytes(32).toString('hex'), { mode: 0o600 });
  const made: LocalPeer[] = [];
  t.teardown(async () => {
    if (!t.passing())
      for (const peer of made) t.comment(`--- ${peer.name}\n${(await peer.log().catch(() => '')).slice(-3000)}`);
    await Promise.all(made.map((peer) => peer.kill('SIGKILL')));
    await rm(root, { recursive: true, force: true });
  });
  const keep = (peer: LocalPeer) => {
    made.push(peer);
    return peer;
  };
  const make = async (name: string, flags: readonly string[] = []) =>
    keep(await localPeer({ root, name, secretFile, flags: [...quick, ...flags] }));
  return {
    root,
    secretFile,
    make,
    adopt: async (folder, name) => keep(await peerOfFolder(folder, name)),
    async cluster(count, flags = []) {
      const peers = await Promise.all(Array.from({ length: count }, (_, i) => make(`peer-${i + 1}`, flags)));
      await peers[0]?.start();
      await Promise.all(peers.slice(1).map((peer) => peer.start({ bootstrap: [peers[0]!.address] })));
      await acquainted(peers);
      return peers;
    },
  };
}

/** What would take minutes with the defaults. */
const quick = ['--crdt-anti-entropy-interval-ms=1000', '--tracker-pin-timeout-ms=20000', '--tracker-unpin-delay-ms=0'];

export interface Held {
  digest: string;
  pins: number;
}

export async function held(peer: LocalPeer): Promise<Held> {
  const { digest, pins } = await peer.clients.cluster.getCluster({});
  return { digest: Buffer.from(digest).toString('hex'), pins: Number(pins) };
}

/** Waits until all hold the same, `pins` of them if that is given. */
export async function equalDigests(peers: readonly LocalPeer[], pins?: number, withinMs?: number): Promise<Held> {
  let all: Held[] = [];
  try {
    await until(
      'equal digests',
      async () => {
        all = await Promise.all(peers.map(held));
        return all.every((each) => each.digest === all[0]?.digest && each.pins === (pins ?? all[0].pins));
      },
      withinMs,
    );
  } catch (error) {
    throw new Error(`${(error as Error).message}: ${JSON.stringify(all)}, expected ${pins ?? 'any'}`);
  }
  return all[0]!;
}

/** CIDv1, raw, SHA-256, whose content nobody has. */
export function absentCid(label: string): string {
  return formatCid(Buffer.concat([Buffer.from([1, 0x55, 0x12, 0x20]), hash('sha256', `absent ${label}`, 'buffer')]));
}

/** CIDv1, raw, with the content in the CID itself: every node has it. */
export function inlineCid(content: string): string {
  const bytes = Buffer.from(content);
  return formatCid(Buffer.concat([Buffer.from([1, 0x55, 0x00, bytes.length]), bytes]));
}

/** The stable reason of a failed call. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof ConnectError)) throw error;
  return error.findDetails(ErrorInfoSchema)[0]?.reason ?? `${error.code}: ${error.rawMessage}`;
}

/** Of a call that is expected to fail; 'OK' when it does not. */
export function refusal(call: Promise<unknown>): Promise<string> {
  return call.then(() => 'OK', reasonOf);
}

export async function statusOn(
  peer: LocalPeer,
  cid: string,
  on: string,
  namespace = '',
): Promise<PeerPinStatus | undefined> {
  const { status } = await peer.clients.pins.getPinStatus({ cid, namespace });
  return status?.peers.find(({ peerId }) => peerId === on);
}

/** The name of the state of its IPFS node, as its metrics have it. */
export async function ipfsStateOf(peer: LocalPeer): Promise<string> {
  const text = await (await fetch(`http://${peer.metricsHost}/metrics`)).text();
  return /^pinfold_ipfs_node_state\{state="(\w+)"\} 1$/m.exec(text)?.[1] ?? '';
}

/** Waits until every one of the allocations says `pinned`. */
export async function pinnedOn(peer: LocalPeer, cid: string, peerIds: readonly string[]): Promise<void> {
  await until(`${cid} is pinned on ${peerIds.length} peers`, async () => {
    const { status } = await peer.clients.pins.getPinStatus({ cid });
    const pinned = new Set(
      status?.peers.flatMap((each) => (each.status === TrackerStatus.PINNED ? [each.peerId] : [])),
    );
    return peerIds.every((peerId) => pinned.has(peerId));
  });
}

/** A watch under way, and all that it said so far. */
export class Watching {
  readonly events: WatchEvent['event'][] = [];
  caughtUp = false;
  token: Uint8Array = new Uint8Array();
  /** How many of the events had come before that token. */
  tokenCovers = 0;
  /** Set when the watch has ended. */
  failure: string | undefined;
  readonly #abort = new AbortController();
  readonly #reading: Promise<void>;

  constructor(peer: LocalPeer, request: MessageInitShape<typeof WatchPinsRequestSchema>) {
    this.#reading = this.#read(peer.clients.pins.watchPins(request, { signal: this.#abort.signal }));
  }

  async #read(responses: AsyncIterable<WatchPinsResponse>): Promise<void> {
    try {
      for await (const { events, resumeToken, caughtUp } of responses) {
        this.events.push(...events.map(({ event }) => event));
        if (resumeToken.length > 0) {
          this.token = resumeToken;
          this.tokenCovers = this.events.length;
        }
        this.caughtUp ||= caughtUp;
      }
      this.failure = 'ended';
    } catch (error) {
      this.failure = reasonOf(error);
    }
  }

  async until(what: string, holds: (event: WatchEvent['event']) => boolean): Promise<void> {
    await until(`the watch tells that ${what}`, () => {
      if (this.events.some(holds)) return true;
      if (this.failure !== undefined) throw new Error(`the watch ended (${this.failure}) before it told that ${what}`);
      return false;
    });
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#reading;
  }
}

export const isPinned = (cid: string) => (event: WatchEvent['event']) =>
  event.case === 'pinned' && event.value.cid === cid;

export const isUnpinned = (cid: string) => (event: WatchEvent['event']) =>
  event.case === 'unpinned' && event.value.cid === cid;

export const isStatus = (cid: string, peerId: string, status: TrackerStatus) => (event: WatchEvent['event']) =>
  event.case === 'status' &&
  event.value.cid === cid &&
  event.value.peer?.peerId === peerId &&
  event.value.peer.status === status;
