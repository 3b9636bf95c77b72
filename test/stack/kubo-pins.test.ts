import type { ServerResponse } from 'node:http';
import { CID } from 'multiformats/cid';
import t, { type Test } from 'tap';
import { parseRpcAddress } from '../../src/ipfs/kubo/address.ts';
import { KuboConnector } from '../../src/ipfs/kubo/kubo-connector.ts';
import { formatCid } from '../../src/model/cid.ts';
import { systemClock, systemTimers } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { failsWith, keepAlive } from '../suites/connector.suite.ts';
import { dag, leaf, pbNode, type TestDag, version0 } from '../suites/dags.ts';
import { emptyFolder, KuboNode, withoutKubo } from '../support/kubo.ts';
import { kuboProxy, type Meddler } from '../support/kubo-proxy.ts';

const needs = { clock: systemClock, timers: systemTimers, logger: silentLogger, metrics: noMetrics };
const signal = new AbortController().signal;
const options = { skip: withoutKubo, timeout: 60_000 };

keepAlive(t);

/** A node with nothing pinned, and a connector to it, through a proxy that may meddle. */
async function made(t: Test, meddle: Meddler = () => false) {
  const kubo = await KuboNode.start(t);
  await kubo.ipfs('pin', 'rm', emptyFolder);
  const address = parseRpcAddress(await kuboProxy(t, kubo, meddle));
  const connector = new KuboConnector({ address, folder: kubo.folder }, needs);
  t.teardown(() => connector.stop());
  await connector.start();
  return { kubo, connector };
}

function wish({ root }: Pick<TestDag, 'root'>, mode: 'recursive' | 'direct' = 'recursive') {
  return { cid: root.cid, mode, sources: [] };
}

async function listed(connector: KuboConnector): Promise<[string, string][]> {
  const all: [string, string][] = [];
  for await (const { cid, mode } of connector.list({ signal })) all.push([formatCid(cid), mode]);
  return all;
}

t.test('pins that others made under either version are one wish', options, async (t) => {
  const { kubo, connector } = await made(t);
  const one = dag('of others');
  const [v0, v1] = [formatCid(version0(one.root)), formatCid(one.root.cid)];
  await connector.putBlocks(one.blocks, { signal });
  await kubo.ipfs('pin', 'add', v0);
  t.equal(await connector.pinned(one.root.cid, { signal }), 'recursive');
  await connector.pin(wish(one), { signal, stallTimeoutMs: 5_000 });
  t.same(await listed(connector), [[v1, 'recursive']]);
  await kubo.ipfs('pin', 'add', '--recursive=false', v1);
  t.same(await listed(connector), [[v1, 'recursive']], 'held in both ways, told once, as the better one');
  t.equal(await connector.pinned(one.root.cid, { signal }), 'recursive');
  await connector.pin(wish(one, 'direct'), { signal, stallTimeoutMs: 5_000 });
  t.same(await listed(connector), [[v1, 'direct']]);
  await kubo.ipfs('pin', 'add', v0);
  await connector.unpin(one.root.cid, { signal });
  t.same(await listed(connector), []);
});

t.test('a direct pin under version 0 makes room for the recursive one', options, async (t) => {
  const { kubo, connector } = await made(t);
  const one = dag('room');
  await connector.putBlocks(one.blocks, { signal });
  await kubo.ipfs('pin', 'add', '--recursive=false', formatCid(version0(one.root)));
  await connector.pin(wish(one), { signal, stallTimeoutMs: 5_000 });
  t.equal(await kubo.ipfs('pin', 'ls', '--type=direct'), '');
  t.same(await listed(connector), [[formatCid(one.root.cid), 'recursive']]);
});

// Kubo 0.42 takes a recursive record away before it walks the DAG and writes it anew: a crash, or a block that is missing, would cost the pin.
t.test('what is pinned already is not pinned by Kubo again, which would take it away meanwhile', options, async (t) => {
  const commands: string[] = [];
  const { kubo, connector } = await made(t, (command) => {
    if (command !== 'pin/ls') commands.push(command);
    return false;
  });
  const [one, old] = [dag('again'), dag('again, older')];
  await connector.putBlocks([...one.blocks, ...old.blocks], { signal });
  const mine = { signal, stallTimeoutMs: 2_000 };
  await connector.pin(wish(old), mine);
  await connector.pin(wish(one), mine);
  await kubo.lose(one.blocks[0] as (typeof one.blocks)[0]);
  commands.length = 0;
  for (const again of [wish(one), { ...wish(one), updates: old.root.cid }]) {
    await Promise.all([connector.pin(again, mine), connector.pin(again, mine)]);
    t.equal(await connector.pinned(one.root.cid, { signal }), 'recursive');
  }
  t.same(
    commands.filter((command) => command.startsWith('pin/')),
    [],
  );
});

/** Ways in which the answer to `pin/add` does not say that it is pinned. */
const unproven: [string, 'UNREACHABLE' | 'FAILED' | 'INVALID_DAG', (response: ServerResponse) => void][] = [
  [
    'cut after progress',
    'UNREACHABLE',
    (response) => {
      response.write('{"Progress":9}\n');
      setImmediate(() => response.destroy());
    },
  ],
  ['an end after progress', 'FAILED', (response) => response.end('{"Progress":9}\n')],
  ['an empty answer', 'FAILED', (response) => response.end()],
  ['another CID', 'FAILED', (response) => response.end('{"Pins":["bafkqaaa"]}\n')],
  ['no JSON', 'FAILED', (response) => response.end('pinned it\n')],
  [
    'an error after the last word',
    'FAILED',
    (response) => {
      response.writeHead(200, { trailer: 'X-Stream-Error' });
      response.write(`{"Pins":["${dag('unproven').root.link}"]}\n`);
      response.addTrailers({ 'X-Stream-Error': 'context deadline exceeded' });
      response.end();
    },
  ],
];

t.test('nothing but the last word and a whole answer is taken for success', options, async (t) => {
  let answer: ((response: ServerResponse) => void) | undefined;
  const { connector } = await made(t, (command, query, response) => {
    if (command !== 'pin/add' || query.has('offline')) return false;
    answer?.(response);
    return answer !== undefined;
  });
  const one = dag('unproven');
  await connector.putBlocks(one.blocks, { signal });
  for (const [what, kind, say] of unproven) {
    answer = say;
    await failsWith(t, connector.pin(wish(one), { signal, stallTimeoutMs: 5_000 }), kind);
    t.equal(await connector.pinned(one.root.cid, { signal }), 'none', what);
  }
  answer = undefined;
  await connector.pin(wish(one), { signal, stallTimeoutMs: 5_000 });
});

t.test('an answer that was cut may stand for a pin that was made: the record decides', options, async (t) => {
  const { kubo, connector } = await made(t, (command, query, response) => {
    if (command !== 'pin/add' || query.has('offline')) return false;
    const made = kubo.ipfs('pin', 'add', query.get('arg') ?? '');
    made.then(() => response.destroy());
    return true;
  });
  const one = dag('made all the same');
  await connector.putBlocks(one.blocks, { signal });
  await connector.pin(wish(one), { signal, stallTimeoutMs: 5_000 });
  t.same(await listed(connector), [[formatCid(one.root.cid), 'recursive']]);
});

t.test('what an aborted pin has made is taken back', options, async (t) => {
  const abort = new AbortController();
  const { kubo, connector } = await made(t, (command, query) => {
    if (command !== 'pin/add' || query.has('offline')) return false;
    kubo.ipfs('pin', 'add', query.get('arg') ?? '').then(() => abort.abort(new Error('no longer wanted')));
    return true;
  });
  const one = dag('made too late');
  await connector.putBlocks(one.blocks, { signal });
  const pinned = connector.pin(wish(one), { signal: abort.signal, stallTimeoutMs: 30_000 });
  await t.rejects(pinned, { message: 'no longer wanted' });
  t.equal(await kubo.ipfs('pin', 'ls', '--type=recursive'), '');
});

t.test('a pin of which no listing told takes one call', options, async (t) => {
  const commands: string[] = [];
  const { kubo, connector } = await made(t, (command) => {
    commands.push(command);
    return false;
  });
  const [one, other] = [dag('of others'), dag('with one call')];
  await connector.putBlocks([...one.blocks, ...other.blocks], { signal });
  await kubo.ipfs('pin', 'add', formatCid(version0(one.root)));
  t.same(await listed(connector), [[formatCid(one.root.cid), 'recursive']], 'now it is known what there is');
  commands.length = 0;
  await connector.pin(wish(other), { signal, stallTimeoutMs: 5_000 });
  t.same(
    commands.filter((command) => command.startsWith('pin/') || command.startsWith('block/')),
    ['pin/add'],
  );
  commands.length = 0;
  for (const again of [one, other]) await connector.pin(wish(again), { signal, stallTimeoutMs: 5_000 });
  t.notOk(commands.includes('pin/add'), 'what was listed, or made since, is not made anew');
});

t.test('a recursive pin that cannot become a direct one stays', options, async (t) => {
  let isBroken = false;
  const { connector } = await made(t, (command, query, response) => {
    if (!isBroken || command !== 'pin/add' || query.get('recursive') === 'true') return false;
    response.writeHead(500).end('{"Message":"pin: no luck","Code":0,"Type":"error"}');
    return true;
  });
  const one = dag('stays');
  await connector.putBlocks(one.blocks, { signal });
  await connector.pin(wish(one), { signal, stallTimeoutMs: 5_000 });
  isBroken = true;
  await failsWith(t, connector.pin(wish(one, 'direct'), { signal, stallTimeoutMs: 5_000 }), 'FAILED');
  t.same(await listed(connector), [[formatCid(one.root.cid), 'recursive']]);
});

t.test('what replaces a pin is built on it, and made anew where that fails', options, async (t) => {
  const commands: string[] = [];
  let answer: ((response: ServerResponse) => void) | undefined;
  const { kubo, connector } = await made(t, (command, _query, response) => {
    if (command.startsWith('pin/')) commands.push(command);
    if (command !== 'pin/update' || answer === undefined) return false;
    answer(response);
    return true;
  });
  const old = dag('old');
  const replacing = async (text: string) => {
    const added = leaf(text);
    const root = pbNode([old.root, added]);
    await connector.putBlocks([added, root], { signal });
    commands.length = 0;
    await connector.pin({ ...wish({ root }), updates: old.root.cid }, { signal, stallTimeoutMs: 2_000 });
    t.equal(await connector.pinned(root.cid, { signal }), 'recursive', text);
    return commands.filter((command) => command === 'pin/update' || command === 'pin/add');
  };
  await connector.putBlocks(old.blocks, { signal });
  t.same(await replacing('the old one is not held'), ['pin/update', 'pin/add']);
  await kubo.ipfs('pin', 'add', formatCid(old.root.cid));
  t.same(await replacing('it is held'), ['pin/update']);
  t.equal(await connector.pinned(old.root.cid, { signal }), 'recursive', 'and stays');
  answer = (response) => response.end('{"Pins":[]}');
  t.same(await replacing('it says nothing'), ['pin/update', 'pin/add']);
  answer = () => {};
  t.same(await replacing('it does not answer'), ['pin/update', 'pin/add']);
  answer = (response) => response.destroy();
  await failsWith(t, replacing('the connection breaks'), 'UNREACHABLE');
});

t.test('a listing that breaks off is no listing', options, async (t) => {
  const { connector } = await made(t, (command, query, response) => {
    if (command !== 'pin/ls' || query.has('arg')) return false;
    response.write('{"Cid":"bafkqaaa","Type":"recursive"}\n');
    setImmediate(() => response.destroy());
    return true;
  });
  await failsWith(t, listed(connector), 'UNREACHABLE');
});

t.test('blocks that the node does not confirm are not stored', options, async (t) => {
  const { connector } = await made(t, (command, _query, response) => {
    if (command !== 'block/put') return false;
    response.end('{"Key":"bafkqaaa","Size":0}\n');
    return true;
  });
  await failsWith(t, connector.putBlocks([leaf('unconfirmed')], { signal }), 'FAILED');
});

t.test('the same of many, which are imported', options, async (t) => {
  const { connector } = await made(t, (command, _query, response) => {
    if (command !== 'dag/import') return false;
    response.end('{"Stats":{"BlockCount":38,"BlockBytesCount":38}}\n');
    return true;
  });
  const blocks = Array.from({ length: 40 }, (_, i) => leaf(`unconfirmed ${i}`));
  await failsWith(t, connector.putBlocks(blocks, { signal }), 'FAILED');
});

t.test('a block among many that is not what its CID says is refused by Kubo, too', options, async (t) => {
  const { connector } = await made(t);
  for (const count of [2, 40]) {
    const blocks = Array.from({ length: count }, (_, i) => leaf(`beside a wrong one ${i}`));
    const [first, last] = [blocks[0], blocks[count - 1]] as [(typeof blocks)[0], (typeof blocks)[0]];
    const wrong = [{ cid: first.cid, bytes: last.bytes }, ...blocks.slice(1)];
    await failsWith(t, connector.putBlocks(wrong, { signal, mayBePartial: true }), 'FAILED');
    t.same(await connector.missingBlocks([first.cid], { signal }), [first.cid]);
  }
});

t.test('of many blocks those that Kubo cannot decode are stored, too', options, async (t) => {
  const { connector } = await made(t);
  const text = leaf('no dag-pb');
  const spoilt = { bytes: text.bytes, cid: CID.createV1(0x70, CID.decode(text.cid).multihash).bytes };
  const blocks = [...Array.from({ length: 40 }, (_, i) => leaf(`beside ${i}`)), spoilt];
  await connector.putBlocks(blocks, { signal });
  t.same(
    await connector.missingBlocks(
      blocks.map(({ cid }) => cid),
      { signal },
    ),
    [],
  );
});

t.test('a block that its disk has spoilt is not handed out', options, async (t) => {
  const { connector } = await made(t, (command, _query, response) => {
    if (command !== 'block/get') return false;
    response.end('rotten');
    return true;
  });
  await failsWith(t, connector.getBlock(leaf('spoilt').cid, { signal }), 'FAILED');
});

t.test('many pins at once share the node', options, async (t) => {
  let underWay = 0;
  let most = 0;
  const { connector } = await made(t, (command, _query, response) => {
    if (command === 'pin/add') {
      most = Math.max(most, ++underWay);
      response.on('close', () => underWay--);
    }
    return false;
  });
  const leaves = Array.from({ length: 600 }, (_, at) => leaf(`at once ${at}`));
  await connector.putBlocks(leaves, { signal });
  await Promise.all(leaves.map((root) => connector.pin(wish({ root }), { signal, stallTimeoutMs: 30_000 })));
  t.ok(most > 1 && most <= 256, `${most} at once`);
  t.equal((await listed(connector)).length, leaves.length);
});
