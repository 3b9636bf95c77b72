import { create, type MessageInitShape } from '@bufbuild/protobuf';
import t, { type Test } from 'tap';
import { PutBlocksRequestSchema } from '../../gen/pinfold/peer/v1/blocks_pb.ts';
import { PutBlocksCall } from '../../src/cluster/adding/put-blocks-call.ts';
import { putBlocksHandlers } from '../../src/cluster/adding/put-blocks-handler.ts';
import { type Block, ConnectorError } from '../../src/ipfs/connector.ts';
import { byteString } from '../../src/model/bytes.ts';
import { MemoryHub } from '../../src/network/memory/memory-hub.ts';
import { memoryNetwork } from '../../src/network/memory/memory-network.ts';
import type { Network } from '../../src/network/network.ts';
import { systemClock, systemTimers } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { eventually, everyone, forever, handlers, startAll } from '../suites/network.suite.ts';
import { testCid } from '../support/crdt-peers.ts';
import { virtualTime } from '../support/virtual-time.ts';

const random = { bytes: (length: number) => new Uint8Array(length), float: () => 0.5 };
const signal = forever();

/** The node of a destination. */
class Node {
  readonly blocks = new Map<string, Uint8Array>();
  readonly time = virtualTime();
  protections = 0;
  puts = 0;
  /** What a put waits for, or fails with. */
  onPut: () => Promise<void> = async () => {};
  held: (cids: readonly Uint8Array[]) => Promise<void> = async () => {};

  readonly handlers = putBlocksHandlers({
    connector: {
      missingBlocks: async (cids) => cids.filter((cid) => !this.blocks.has(byteString(cid))),
      putBlocks: async (blocks) => {
        this.puts++;
        await this.onPut();
        for (const { cid, bytes } of blocks) this.blocks.set(byteString(cid), bytes);
      },
      protect: () => {
        this.protections++;
        return { release: () => this.protections-- };
      },
    },
    held: (cids) => this.held(cids),
    timers: this.time.timers,
  });
}

async function world(t: Test, isTrusted = true) {
  const node = new Node();
  const hub = new MemoryHub({}, { timers: systemTimers, random });
  const needs = { clock: systemClock, timers: systemTimers, logger: silentLogger, metrics: noMetrics, hub };
  const policy = { isMember: () => true, isTrusted: () => isTrusted };
  const a = memoryNetwork({ peerId: 'a' }, { ...needs, policy: everyone });
  const b = memoryNetwork({ peerId: 'b' }, { ...needs, policy });
  a.rpc.serve(handlers());
  b.rpc.serve(handlers(node.handlers));
  await startAll(t, [a, b]);
  await a.dial(b.addresses()[0] as string, { signal });
  const time = virtualTime();
  return { node, a, time, call: () => new PutBlocksCall('b', { rpc: a.rpc, timers: time.timers }) };
}

function blocks(from: number, count: number, bytes = 10): Block[] {
  return Array.from({ length: count }, (_, i) => ({ cid: testCid(from + i), bytes: new Uint8Array(bytes).fill(i) }));
}

t.test('blocks come to the node, in parcels; what it has is not sent', async (t) => {
  const { node, call } = await world(t);
  const first = call();
  t.strictSame(await first.put(blocks(0, 9, 300_000), { signal }), { blocks: 9, bytes: 2_700_000 });
  t.equal(node.blocks.size, 9);
  t.strictSame(node.blocks.get(byteString(testCid(8))), new Uint8Array(300_000).fill(8));
  t.strictSame(await first.put(blocks(5, 8, 300_000), { signal }), { blocks: 4, bytes: 1_200_000 });
  const both = await Promise.all([first.put(blocks(20, 3), { signal }), first.put(blocks(20, 5), { signal })]);
  t.ok(both.every((sent) => sent.blocks >= 2));
  t.strictSame(await first.put(blocks(0, 9, 300_000), { signal }), { blocks: 0, bytes: 0 });
  t.strictSame(await first.put(blocks(100, 1, 4 * 1024 * 1024), { signal }), { blocks: 1, bytes: 4 * 1024 * 1024 });
  first.release();
  await eventually('let go', () => node.protections === 0);
});

t.test('the blocks are kept until the node is done with the pins', async (t) => {
  const { node, call } = await world(t);
  const done = Promise.withResolvers<void>();
  let asked: readonly Uint8Array[] = [];
  node.held = (cids) => {
    asked = cids;
    return done.promise;
  };
  const destination = call();
  await destination.put(blocks(0, 2), { signal });
  await destination.prepare({ signal });
  destination.pinned([testCid(0)]);
  destination.release();
  await eventually('it hears of the pins', () => asked.length === 1);
  t.equal(node.protections, 1);
  done.resolve();
  await eventually('let go', () => node.protections === 0);
});

t.test('a call that breaks lets go at once, unless pins may have been committed', async (t) => {
  const { node, call } = await world(t);
  const early = call();
  await early.put(blocks(0, 2), { signal });
  t.equal(node.protections, 1);
  early.release();
  await eventually('let go', () => node.protections === 0);

  const late = call();
  await late.put(blocks(0, 2), { signal });
  await late.prepare({ signal });
  late.release();
  const next = call();
  await next.put(blocks(5, 1), { signal });
  t.equal(node.protections, 2, 'the one before is still held');
  next.release();
  await eventually('one is left', () => node.protections === 1);
  await node.time.advance(10 * 60_000 - 1);
  t.equal(node.protections, 1);
  await node.time.advance(2);
  t.equal(node.protections, 0);
});

t.test('what fails at the node comes back as what it is', async (t) => {
  const { node, call } = await world(t);
  node.onPut = () => Promise.reject(new ConnectorError('DISK_FULL', 'no room'));
  const full = call();
  await t.rejects(full.put(blocks(0, 2), { signal }), { code: 'DISK_FULL', message: /no room/ });
  await t.rejects(full.put(blocks(5, 2), { signal }), { code: 'DISK_FULL' }, 'and so does all that follows');
  await t.rejects(full.prepare({ signal }), { code: 'DISK_FULL' });
  await eventually('let go', () => node.protections === 0);
  node.onPut = () => Promise.reject(new ConnectorError('INVALID_DAG', 'does not match'));
  await t.rejects(call().put(blocks(0, 2), { signal }), { code: 'IPFS_FAILED', message: /does not match/ });
});

t.test('a node that hangs is given up, and so is one that is gone', async (t) => {
  const { node, call, time, a } = await world(t);
  const never = Promise.withResolvers<void>();
  node.onPut = () => never.promise;
  const hanging = call();
  const put = hanging.put(blocks(0, 2), { signal });
  const failed = t.rejects(put, { code: 'DEADLINE' });
  await eventually('it is being stored', () => node.puts === 1);
  await time.advance(60_001);
  await failed;
  hanging.release();
  never.resolve();
  await eventually('let go', () => node.protections === 0);
  const gone = new PutBlocksCall('nobody', { rpc: a.rpc, timers: time.timers });
  await t.rejects(gone.put(blocks(0, 2), { signal }), { code: 'PEER_UNREACHABLE' });
});

t.test('who is not trusted puts nothing there', async (t) => {
  const { node, call } = await world(t, false);
  await t.rejects(call().put(blocks(0, 2), { signal }), { code: 'PERMISSION_DENIED' });
  t.equal(node.protections, 0);
});

type Request = NonNullable<MessageInitShape<typeof PutBlocksRequestSchema>['message']>;

async function raw(a: Network, ...messages: Request[]): Promise<string[]> {
  const requests = messages.map((message) => create(PutBlocksRequestSchema, { message }));
  const answers: string[] = [];
  for await (const { message } of a.rpc.call('b', 'putBlocks', requests, { signal })) answers.push(message.case ?? '');
  return answers;
}

t.test('a caller that is out of order is refused with the field, and nothing stays held', async (t) => {
  const { node, a } = await world(t);
  const cids = [testCid(1), testCid(2)].map((cid) => cid as Uint8Array<ArrayBuffer>);
  const offer = (batch: number, offered = cids): Request => ({ case: 'offer', value: { batch, cids: offered } });
  const parcel = (batch: number, indexes: number[], last = true, bytes = 1): Request => ({
    case: 'parcel',
    value: { batch, last, blocks: indexes.map((index) => ({ index, data: new Uint8Array(bytes) })) },
  });
  const large = (index: number) => parcel(1, [index], false, 4 * 2 ** 20);
  const prepare: Request = { case: 'prepare', value: {} };
  const many = Array.from({ length: 1_025 }, (_, i) => testCid(i) as Uint8Array<ArrayBuffer>);
  const cases: [string, Request[], string][] = [
    ['a batch that is not the next', [offer(2)], 'offer.batch'],
    ['an empty batch', [offer(1, [])], 'offer.cids'],
    ['too large a batch', [offer(1, many)], 'offer.cids'],
    ['what is no CID', [offer(1, [new Uint8Array(3)])], 'offer.cids'],
    ['three batches at once', [offer(1), offer(2), offer(3)], 'offer.batch'],
    ['a parcel without an offer', [parcel(1, [0])], 'parcel.batch'],
    ['what is not wanted', [offer(1), parcel(1, [2])], 'parcel.blocks.index'],
    ['a block twice', [offer(1), parcel(1, [0, 0])], 'parcel.blocks.index'],
    ['an end too early', [offer(1), parcel(1, [0])], 'parcel.last'],
    ['too many bytes', [offer(1, many.slice(0, 5)), ...[0, 1, 2, 3, 4].map(large)], 'parcel.blocks'],
    ['preparing in a batch', [offer(1), prepare], 'prepare'],
    ['pins without preparing', [{ case: 'pinned', value: { cids } }], 'pinned'],
    ['blocks after preparing', [prepare, offer(1)], 'message'],
  ];
  for (const [what, messages, field] of cases) {
    const refused = { code: /INVALID_ARGUMENT|INVALID_CID/, message: new RegExp(`^${field}:`) };
    await t.rejects(raw(a, ...messages), refused, what);
    if (messages[0] === prepare) await node.time.advance(10 * 60_000);
    await eventually(`${what}: let go`, () => node.protections === 0);
  }
  t.equal(node.blocks.size, 0);
});
