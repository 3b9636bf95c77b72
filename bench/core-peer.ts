import { PinService } from '../gen/pinfold/v1/pin_service_pb.ts';
import { anonymous, callScopes } from '../src/api/call-scope.ts';
import { grpcServer } from '../src/api/grpc/grpc-server.ts';
import { mount } from '../src/api/handlers.ts';
import { apiMetrics } from '../src/api/metrics.ts';
import { type PinServiceNeeds, pinService } from '../src/api/services/pin-service.ts';
import { type Connector, ConnectorError } from '../src/ipfs/connector.ts';
import { systemClock as clock, systemTimers as timers } from '../src/runtime/clock.ts';
import { silentLogger as logger } from '../src/runtime/logger.ts';
import { noMetrics } from '../src/runtime/metrics.ts';
import { pinAt, rootOf, startBenchCore, until } from './bench-core.ts';
import './collect-on-signal.ts';
import { answersAtOnce } from './node-stand-in.ts';
import { SocketBytes } from './socket-bytes.ts';
import { type Sent, Traffic } from './traffic.ts';
import { memoryOf } from './usage.ts';

/** What such a process prints four times a second. */
export interface CorePeerLine {
  pid: number;
  /** Of its gRPC door. */
  host: string;
  /** Of its swarm. */
  address: string;
  pins: number;
  /** Root of the digest, hexadecimal. */
  digest: string;
  /** By its tracker. */
  pinned: number;
  failed: number;
  /** Calls of its IPFS node so far, but for its space. */
  nodeCalls: number;
  /** Bytes that came over TCP so far, and (where that is counted) what it made other peers send and receive, by kind. */
  received: number;
  traffic: Record<string, Sent>;
  /** Heap in use, and resident memory without the mapped store; bytes. */
  heap: number;
  own: number;
}

/*
 * A process of its own: a peer with the gRPC door, beside a node that takes no time and lacks the content of one in EVERY pins. With
 * PINS it waits for two others and pins so many on all three.
 *
 *     core-peer.ts NUMBER FOLDER EVERY traffic|nothing [BOOTSTRAP] [PINS]
 */
const [number = '', folder = '', every = '', counted = '', bootstrap = '', pins = '0'] = process.argv.slice(2);
const neverMs = 7 * 86_400_000;
let nodeCalls = 0;
const sockets = new SocketBytes();
const traffic = new Traffic();

const node: Connector = {
  ...answersAtOnce,
  async pin({ cid }) {
    if (Buffer.from(cid).readUInt32BE(4) % Number(every) === 0) {
      throw new ConnectorError('NO_PROVIDER', 'no reachable node has the root of the content');
    }
  },
};

const connector = new Proxy(node, {
  get(target, name: keyof Connector) {
    if (name !== 'space' && name !== 'id') nodeCalls++;
    return target[name];
  },
});

const core = await startBenchCore({
  seed: new Uint8Array(32).fill(Number(number)),
  folder,
  hub: undefined,
  bootstrap: bootstrap === '' ? [] : [bootstrap],
  antiEntropyIntervalMs: 10_000,
  connector,
  tracker: { retryBaseMs: neverMs, retryMaxMs: neverMs },
});
// Encoding all of it once more is not what is measured elsewhere.
if (counted === 'traffic') traffic.count(core.network);
// Nothing is added here.
const needs: PinServiceNeeds = { ...core, add: undefined as unknown as PinServiceNeeds['add'] };
const grpc = grpcServer(
  { host: '127.0.0.1', port: 0 },
  {
    services: [mount(PinService, pinService(needs))],
    scopes: callScopes({ clock, timers, authenticate: anonymous }),
    logger,
    metrics: apiMetrics(noMetrics),
    extend() {},
  },
);
const port = await grpc.start();

function say(): void {
  const { pinned, failed } = core.tracker.counts();
  const line: CorePeerLine = {
    pid: process.pid,
    host: `127.0.0.1:${port}`,
    address: core.addresses()[0] ?? '',
    pins: core.pinset.count(),
    digest: rootOf(core),
    pinned,
    failed,
    nodeCalls,
    received: sockets.received,
    traffic: Object.fromEntries(traffic.kinds),
    heap: process.memoryUsage().heapUsed,
    own: memoryOf(process.pid).own,
  };
  console.log(JSON.stringify(line));
}
say();
setInterval(say, 250);

if (Number(pins) > 0) {
  await until(() => core.monitor.members().length === 3 && core.network.connected().length === 2);
  const peerIds = core.monitor.members().map(({ peerId }) => peerId);
  await pinAt(core, 0, Number(pins), 5_000, peerIds);
}
