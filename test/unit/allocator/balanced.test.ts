import t, { type Test } from 'tap';
import type { AllocatablePeer, AllocationInput } from '../../../src/allocator/allocator.ts';
import { balanced } from '../../../src/allocator/balanced.ts';
import { defaults, input, keyOf, peer } from './peers.ts';

const strict = (allocateBy: readonly string[], more = {}) =>
  balanced({ ...defaults, allocateBy, spread: false, ...more });
const spread = (allocateBy: readonly string[], more = {}) => balanced({ ...defaults, allocateBy, ...more });
const all = (allocator: ReturnType<typeof strict>, peers: readonly AllocatablePeer[]) =>
  allocator
    .over(peers)(input({ replicationMax: peers.length }))
    .join(' ');

// The examples of IPFS Cluster's balanced allocator: its order, where no pin is told from another.
t.test("the order of IPFS Cluster's allocator", async (t) => {
  const of = (peerId: string, region: string, pinqueue: number, freespace: number) =>
    peer(peerId, { 'tag:region': region, pinqueue, freespace });
  const six = [
    of('A', 'eu', 5, 300),
    of('B', 'eu', 250_000, 900),
    of('F', 'eu', 90_000, 400),
    of('C', 'us', 10, 500),
    of('D', 'us', 20, 450),
    of('E', 'ap', 0, 800),
  ];
  t.equal(all(strict(['tag:region', 'pinqueue', 'freespace']), six), 'F C E A D B');
  t.equal(all(strict(['tag:region', 'freespace']), six), 'B C E F D A');
  t.equal(all(strict(['tag:group', 'freespace']), six), 'B E C D F A', 'a tag that nobody has does not matter');

  const az = (peerId: string, place: string, pinqueue: number, freespace: number) =>
    peer(peerId, { 'tag:region': place.slice(0, -1), 'tag:az': place, pinqueue, freespace });
  const seven = [
    az('1', 'a-us1', 100, 100),
    az('2', 'a-us2', 200, 500),
    az('3', 'b-eu1', 100, 200),
    az('4', 'b-eu1', 200, 400),
    az('5', 'b-eu2', 300, 10),
    az('6', 'c-au1', 100, 50),
    az('7', 'c-au1', 1000, 600),
  ];
  const byAz = strict(['tag:region', 'tag:az', 'pinqueue', 'freespace'], { pinQueueBucketSize: 1000 });
  t.equal(all(byAz, seven), '6 4 2 7 5 1 3');
});

const five = [
  peer('a', { freespace: 100 }),
  peer('b', { freespace: 300 }),
  peer('c', { freespace: 200 }),
  peer('d', { freespace: 200 }),
  peer('full', { freespace: 0 }, 'keeps'),
  peer('fan', { freespace: 900 }, 'named'),
  peer('lost', { freespace: 500 }, 'leaves'),
];

t.test('the rule by example', async (t) => {
  const place = strict(['freespace']).over(five);
  const rows: [string, Partial<AllocationInput>, string[]][] = [
    ['everywhere has no list', { replicationMin: -1, replicationMax: -1, current: ['a'] }, []],
    ['most free space first, ties by peer ID, up to max', {}, ['b', 'c', 'd']],
    ['named peers go first, if they take pins', { userAllocations: ['a', 'gone', 'full', 'lost'] }, ['a', 'b', 'c']],
    ['a follower takes what it is named for', { userAllocations: ['fan'] }, ['fan', 'b', 'c']],
    ['current ones are kept and filled up to max', { current: ['a', 'd'] }, ['a', 'd', 'b']],
    ['those that are gone or leave are replaced', { current: ['gone', 'a', 'lost'] }, ['a', 'b', 'c']],
    ['who takes nothing new keeps what it has', { current: ['full', 'a', 'fan'] }, ['full', 'a', 'fan']],
    ['enough is as much as there is', { replicationMin: 2, replicationMax: 9 }, ['b', 'c', 'd', 'a']],
    ['surplus goes, least free space first', { current: ['a', 'b', 'c', 'd'] }, ['b', 'c', 'd']],
    ['surplus spares the named', { current: ['a', 'b', 'c', 'd'], userAllocations: ['a'] }, ['a', 'b', 'c']],
    ['surplus goes first where nothing new is taken', { current: ['full', 'a', 'c', 'd'] }, ['a', 'c', 'd']],
    ['must is one of them', { must: ['a'] }, ['a', 'b', 'c']],
    ['must comes behind what is kept', { must: ['a'], current: ['d'] }, ['d', 'a', 'b']],
    ['must displaces a current one at max', { must: ['a'], current: ['d', 'c', 'b'] }, ['c', 'b', 'a']],
    ['must need not take pins', { must: ['full'], replicationMin: 1, replicationMax: 1 }, ['full']],
    ['must can be several', { must: ['a', 'full'], current: ['d', 'c', 'b'] }, ['b', 'a', 'full']],
    ['must need not be known', { must: ['x'], replicationMin: 1, replicationMax: 2 }, ['x', 'b']],
  ];
  for (const [name, changes, expected] of rows) {
    t.same(place(input({ replicationMin: 2, replicationMax: 3, ...changes })), expected, name);
  }
  t.same(strict([]).over([])(input({ must: ['x'] })), ['x'], 'must alone can be enough');
});

t.test('says how many peers there are and how many are needed', async (t) => {
  const place = strict(['freespace']).over(five);
  const message = (available: number) =>
    `not enough peers to allocate the pin: 5 needed at least, 6 wanted at most, ${available} can take it`;
  const five_ = { replicationMin: 5, replicationMax: 6 };
  t.throws(() => place(input(five_)), { code: 'NOT_ENOUGH_PEERS', message: message(4) });
  t.same(place(input({ ...five_, current: ['full'] })), ['full', 'b', 'c', 'd', 'a']);
  t.throws(() => place(input({ ...five_, current: ['lost'] })), { code: 'NOT_ENOUGH_PEERS', message: message(4) });
});

t.test('what lies somewhere already counts for its group', async (t) => {
  const of = (peerId: string, freespace: number, standing?: AllocatablePeer['standing']) =>
    peer(peerId, { 'tag:region': peerId.slice(0, 2), freespace }, standing);
  const peers = [of('eu1', 900), of('eu2', 800), of('us1', 300), of('us2', 200, 'keeps'), of('ap1', 100)];
  const place = strict(['tag:region', 'freespace']).over(peers);
  const three = { replicationMin: 3, replicationMax: 3 };
  t.same(place(input({ ...three, current: ['eu2'] })), ['eu2', 'us1', 'ap1']);
  t.same(place(input({ ...three, current: ['us2'] })), ['us2', 'eu1', 'ap1'], 'also at a peer that takes nothing');
  t.same(place(input({ ...three, must: ['ap1'] })), ['ap1', 'eu1', 'us1']);
  t.same(place(input({ ...three, userAllocations: ['eu1', 'eu2'] })), ['eu1', 'eu2', 'us1']);
  const surplus = { replicationMin: 2, replicationMax: 2, current: ['eu1', 'eu2', 'us1'] };
  t.same(place(input(surplus)), ['eu1', 'us1'], 'surplus goes where there are several');
});

t.test('preferred tags come first, and are left when they do not suffice', async (t) => {
  const peers = [
    peer('a', { 'tag:disk': 'ssd', 'tag:rack': '1', freespace: 10 }),
    peer('b', { 'tag:disk': 'ssd', freespace: 20 }),
    peer('c', { freespace: 30 }),
  ];
  const place = strict(['freespace'], { preferredTags: { disk: 'ssd', rack: '1' } }).over(peers);
  t.same(place(input({ replicationMax: 2 })), ['a', 'b']);
  t.same(place(input({ replicationMax: 3 })), ['a', 'b', 'c']);
  t.same(place(input({ replicationMax: 2, userAllocations: ['c'] })), ['c', 'a'], 'the user comes before them');
});

t.test('a peer without a tag is in the group of those without', async (t) => {
  const peers = [
    peer('a', { 'tag:region': 'eu', freespace: 9 }),
    peer('b', { freespace: 8 }),
    peer('c', { freespace: 7 }),
  ];
  t.same(strict(['tag:region', 'freespace']).over(peers)(input({ replicationMax: 2 })), ['b', 'a']);
});

/** How many of so many pins each peer gets. */
function counted(place: (pin: AllocationInput) => string[], pins: number, changes: Partial<AllocationInput> = {}) {
  const counts = new Map<string, number>();
  for (let i = 0; i < pins; i++) {
    for (const peerId of place(input({ key: keyOf(i), ...changes }))) {
      counts.set(peerId, (counts.get(peerId) ?? 0) + 1);
    }
  }
  return counts;
}

function checkNear(t: Test, count: number | undefined, expected: number, what: string) {
  t.ok(Math.abs((count ?? 0) - expected) < 5 * Math.sqrt(expected), `${what}: ${count}, about ${expected} expected`);
}

t.test('a burst goes to peers in proportion to their free space, not to the first by a hair', async (t) => {
  const peers = [peer('a', { freespace: 4000 }), peer('b', { freespace: 4001 }), peer('c', { freespace: 2000 })];
  const one = counted(spread(['freespace']).over(peers), 10_000);
  checkNear(t, one.get('a'), 4000, 'a');
  checkNear(t, one.get('b'), 4000, 'b');
  checkNear(t, one.get('c'), 2000, 'c');
  t.same([...counted(strict(['freespace']).over(peers), 100)], [['b', 100]], 'without spreading all go to one');

  const regions = [...peers, peer('u', { freespace: 10_001, 'tag:region': 'us' })];
  const byRegion = counted(spread(['tag:region', 'freespace']).over(regions), 10_000);
  checkNear(t, byRegion.get('u'), 5000, 'a region as one');
  const both = counted(spread(['tag:region', 'freespace']).over(regions), 1000, { replicationMax: 2 });
  t.equal(both.get('u'), 1000, 'replicas go round the regions');
});

t.test('a longer queue or more pins get less', async (t) => {
  const of = (peerId: string, pinqueue: number) => peer(peerId, { pinqueue, freespace: 10 });
  const queues = counted(spread(['pinqueue', 'freespace']).over([of('a', 5), of('b', 99_999), of('c', 100_000)]), 1000);
  t.notOk(queues.has('c'));
  checkNear(t, queues.get('a'), 500, 'within a bucket all are the same');
  const latencies = [peer('a', { latency: 99 }), peer('b', { latency: 100 })];
  t.equal(counted(spread(['latency']).over(latencies), 100).get('a'), 100);
  const pins = [peer('a', { numpin: 999 }), peer('b', { numpin: 1999 })];
  checkNear(t, counted(spread(['numpin']).over(pins), 3000).get('a'), 2000, 'by pins');
  const sizes = [peer('a', { reposize: 999 }), peer('b', { reposize: 1999 })];
  checkNear(t, counted(spread(['reposize']).over(sizes), 3000).get('a'), 2000, 'by size');
});

t.test('claims of several namespaces on one CID go to the same peers', async (t) => {
  const peers = Array.from({ length: 9 }, (_, i) => peer(`p${i}`, { freespace: 10 }));
  const place = spread(['freespace']).over(peers);
  const key = keyOf(1);
  const other = Buffer.concat([key, Buffer.from('team')]);
  t.same(place(input({ key, replicationMax: 3 })), place(input({ key: other, replicationMax: 3 })));
});
