import type { AckLevel, Op, Outcome, Position, Request } from '../../src/consensus/consensus.ts';
import { forksTable } from '../../src/consensus/crdt/tables.ts';
import { byteString, hex } from '../../src/model/bytes.ts';
import type { PinFields } from '../../src/model/pin.ts';
import { memoryStorage } from '../../src/storage/memory/memory-storage.ts';
import { Archive } from './crdt-archive.ts';
import { crdtTestTables, pinOp, TestCluster, type TestPeer, testKey, unpinOp } from './crdt-peers.ts';
import { History, type StateOfPeer, stateOf, type TrueDot } from './crdt-truth.ts';

/**
 * Runs the commands of a scenario and returns it with what each changed below it, indented.
 *
 *   peer NAME [short-log] [trusts=NAME,...|all|none]
 *                                    starts a peer that knows those before it; nothing reaches its disk but by `flush`. Its log is of
 *                                    a second, if so wished; it rebuilds after half of one, and gives up after 15 s
 *   fill PEER BUCKETS                time passes, and that peer flushes, until its shadow is filled up to there
 *   trust PEER NAME,...|all|none     whom it trusts from now on; of peers that were started with `trusts`
 *   pin|unpin|amend|expire PEER KEY  [name=TEXT] [to=PEER,...] [expires=MS] [if-absent] [if-match=LABEL] [replicated=N]
 *   update PEER NEW OLD              pins one key and unpins another in one request
 *   etag PEER KEY LABEL              remembers the pin's etag
 *   commit PEER                      makes visible what is queued, without a flush
 *   flush [PEER [COUNT]]             brings transactions to the disk; all peers, all transactions without arguments
 *   cut|heal PEER PEER               the connection between two peers
 *   gossip off|on                    messages are lost, or not
 *   time MS
 *   settle MS                        time passes, and all peers flush at once
 *   crash PEER, start PEER           what was not flushed is gone
 *   backup PEER, restore PEER        the flushed store, copied and put back under another identity stamp
 *   rejoin PEER                      what `store rejoin` does: an empty store, if another peer has all of the old one
 *   putback PEER                     the same in place of the other, so that nothing tells the one from the other
 *   feed PEER                        what the feed names since the last time
 *   equal                            all peers that are up have equal clocks, rows and digests
 *
 * With `replicated=N` a write is waited for until N peers have it on their disks, or for 20 s.
 * Replicas are written as peer and number of the incarnation: a1, a2. A row is its live dots: `a1.3 at b`; `*` marks a
 * placement that an amendment wrote. After every command the invariants of docs/protocol.md section 9 are checked.
 */
export async function runScenario(text: string): Promise<string> {
  const scenario = new Scenario();
  const lines: string[] = [];
  try {
    for (const line of text.split('\n')) {
      if (line.startsWith('  ')) continue;
      lines.push(line);
      if (line.trim() === '' || line.startsWith('#')) continue;
      for (const said of await scenario.run(line)) lines.push(`  ${said}`);
    }
  } finally {
    await scenario.stop();
  }
  return lines.join('\n');
}

class Scenario {
  readonly #hub: { dropProbability: number } = { dropProbability: 0 };
  readonly #cluster = new TestCluster(7, undefined, this.#hub);
  readonly #said: string[] = [];
  readonly #shown = new Map<string, string[]>();
  readonly #replicas = new Map<string, string>();
  readonly #etags = new Map<string, Uint8Array>();
  readonly #feeds = new Map<string, number>();
  readonly #backups = new Map<string, TestPeer['storage']>();
  readonly #archive = new Archive();
  #writes = 0;

  async run(line: string): Promise<string[]> {
    const [command = '', ...words] = line.split(' ');
    await this.#do(command, words);
    await this.#cluster.time.advance(0);
    for (const peer of this.#up()) this.#showChanges(peer);
    this.#check();
    return this.#said.splice(0);
  }

  stop(): Promise<void> {
    return this.#cluster.stop();
  }

  async #do(command: string, words: string[]): Promise<void> {
    const cluster = this.#cluster;
    const [first = '', second = ''] = words;
    if (command === 'peer') await this.#peer(first, words.slice(1));
    else if (command === 'fill') await this.#fill(cluster.peer(first), Number(second));
    else if (command === 'trust') this.#trust(cluster.peer(first), second);
    else if (command === 'flush') this.#flush(words);
    else if (command === 'commit') cluster.peer(first).storage.control.commit();
    else if (command === 'cut') cluster.hub.partition(this.#id(first), this.#id(second));
    else if (command === 'heal') cluster.hub.heal(this.#id(first), this.#id(second));
    else if (command === 'gossip') this.#hub.dropProbability = first === 'off' ? 1 : 0;
    else if (command === 'time') await cluster.time.advance(Number(first));
    else if (command === 'settle') await this.#settle(Number(first));
    else if (command === 'crash') await this.#crash(cluster.peer(first));
    else if (command === 'start') await this.#start(cluster.peer(first));
    else if (command === 'backup') await this.#backup(cluster.peer(first));
    else if (command === 'restore') await this.#restore(cluster.peer(first), 'restored');
    else if (command === 'rejoin') await this.#rejoin(cluster.peer(first));
    else if (command === 'putback') await this.#restore(cluster.peer(first), 'first');
    else if (command === 'etag') this.#etag(cluster.peer(first), second, words[2] as string);
    else if (command === 'feed') this.#feed(cluster.peer(first));
    else if (command === 'equal') this.#equal();
    else this.#write(cluster.peer(first), this.#request(command, words));
  }

  async #peer(name: string, options: readonly string[]): Promise<void> {
    const crdt = options.includes('short-log') ? shortLog : noFollows;
    const trusts = options.find((option) => option.startsWith('trusts='));
    const init = { name, flush: 'manual' as const, crdt };
    await this.#cluster.add(trusts === undefined ? init : { ...init, trusts: namesIn(trusts.slice('trusts='.length)) });
  }

  #trust(peer: TestPeer, names: string): void {
    const listed = namesIn(names);
    peer.trust.change(listed === 'all' ? 'all' : listed.map((name) => this.#id(name)));
  }

  #id(name: string): string {
    return this.#cluster.peer(name).peerId;
  }

  #up(): TestPeer[] {
    return [...this.#cluster.peers.values()].filter(({ isUp }) => isUp);
  }

  #flush([name, count]: string[]): void {
    if (name === undefined) this.#cluster.flush();
    else this.#cluster.peer(name).storage.control.flush(count === undefined ? undefined : Number(count));
  }

  async #settle(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) {
      this.#cluster.flush();
      await this.#cluster.time.advance(100);
      this.#archive.look(this.#states());
    }
    this.#cluster.flush();
  }

  async #fill(peer: TestPeer, buckets: number): Promise<void> {
    for (let ms = 0; (peer.consensus.status().rebuild?.done ?? 0) < buckets; ms++) {
      if (ms > 5_000) throw new Error('its shadow is not filled');
      peer.storage.control.flush();
      await this.#cluster.time.advance(1);
    }
  }

  #crash(peer: TestPeer): Promise<void> {
    this.#archive.crashed(peer.name);
    return peer.crash();
  }

  async #start(peer: TestPeer): Promise<void> {
    await this.#cluster.pumped(peer, peer.start());
  }

  /** The store as flushed, kept aside; the peer goes on from the same. */
  async #backup(peer: TestPeer): Promise<void> {
    const { control } = peer.storage;
    await this.#crash(peer);
    this.#backups.set(peer.name, control.crash('machine'));
    await this.#start(peer);
  }

  async #restore(peer: TestPeer, identityStamp: string): Promise<void> {
    await this.#crash(peer);
    peer.storage = this.#backups.get(peer.name) as TestPeer['storage'];
    peer.identityStamp = Buffer.from(identityStamp);
    await this.#start(peer);
  }

  async #rejoin(peer: TestPeer): Promise<void> {
    let outcome = '';
    const { signal } = new AbortController();
    peer.consensus.keeping.prepareRejoin({ force: false, signal }).then(
      () => {
        outcome = 'left its store';
      },
      ({ code }) => {
        outcome = code;
      },
    );
    while (outcome === '') await this.#settle(100);
    this.#said.push(`${peer.name} ${outcome}`);
    if (outcome !== 'left its store') return;
    await peer.crash();
    peer.storage = memoryStorage({ tables: crdtTestTables, flush: 'manual' });
    await this.#start(peer);
  }

  #etag(peer: TestPeer, key: string, label: string): void {
    this.#etags.set(label, peer.pinset.get(testKey(key))?.etag ?? new Uint8Array(16));
  }

  #feed(peer: TestPeer): void {
    const after = this.#feeds.get(peer.name) ?? 0;
    this.#feeds.set(peer.name, peer.pinset.feed.revision);
    const read = peer.pinset.feed.read(after, 1_000);
    if (read === 'gone') this.#said.push('gone');
    else
      for (const { everything, keys } of read)
        this.#said.push(everything ? 'everything' : keys.map(nameOfKey).sort().join(' '));
  }

  #equal(): void {
    const states = this.#up().map((peer) =>
      [...this.#describe(peer).filter((line) => !/^(phase|alert) /.test(line)), peer.root()]
        .join('\n')
        .replaceAll(/ \(floor \d+\)/g, ''),
    );
    this.#said.push(new Set(states).size === 1 ? 'yes' : 'NO');
  }

  #request(command: string, words: string[]): Request {
    const [peer = '', key = '', other = ''] = words;
    const options = new Map(words.map((word) => word.split('=') as [string, string]));
    const to = (options.get('to')?.split(',') ?? []).map((name) => this.#id(name));
    const request: Request = { ops: this.#ops(command, { peer, key, other, to, options }) };
    if (options.has('if-absent')) request.condition = { kind: 'if-absent' };
    const label = options.get('if-match');
    if (label !== undefined) request.condition = { kind: 'if-match', etag: this.#etags.get(label) as Uint8Array };
    const count = options.get('replicated');
    if (count !== undefined) request.ack = { kind: 'replicated', count: Number(count) };
    const idempotency = options.get('call');
    if (idempotency !== undefined) {
      request.idempotency = { key: Buffer.alloc(16, idempotency), request: Buffer.alloc(16, words.join()) };
    }
    return request;
  }

  #ops(
    command: string,
    {
      peer,
      key,
      other,
      to,
      options,
    }: { peer: string; key: string; other: string; to: string[]; options: Map<string, string> },
  ): Op[] {
    const fields: Partial<PinFields> = {
      name: options.get('name') ?? '',
      expiresMs: Number(options.get('expires') ?? 0),
    };
    const basis = () => this.#cluster.peer(peer).pinset.get(testKey(key))?.etag ?? new Uint8Array(16);
    if (command === 'pin') return [pinOp(key, fields, to)];
    if (command === 'unpin') return [unpinOp(key)];
    if (command === 'update') return [pinOp(key, fields, to), unpinOp(other)];
    if (command === 'amend') return [{ kind: 'amend', key: testKey(key), basis: basis(), allocations: to }];
    if (command === 'expire') return [{ kind: 'expire', key: testKey(key), basis: basis() }];
    throw new Error(`no command ${command}`);
  }

  #write(peer: TestPeer, request: Request): void {
    const number = ++this.#writes;
    peer.commit(request).then(
      ([outcome]) => {
        this.#said.push(`write ${number} answered: ${this.#outcome(outcome as Outcome)}`);
        if (outcome?.ok && request.ack !== undefined) this.#waitLevel(peer, outcome.position, request.ack, number);
      },
      () => this.#said.push(`write ${number} was never answered`),
    );
  }

  #waitLevel(peer: TestPeer, position: Position, level: AckLevel, number: number): void {
    peer.consensus.waitLevel(position, level, { signal: new AbortController().signal, timeoutMs: 20_000 }).then(
      ({ level: reached, acknowledgedBy }) => {
        const count = reached?.kind === 'replicated' ? ` ${reached.count}` : '';
        const names = acknowledgedBy.map((peerId) => this.#peerName(peerId)).sort();
        // A peer that stops answers nobody.
        if (peer.isUp) this.#said.push(`write ${number} is ${reached?.kind}${count}: ${names.join(' ')}`);
      },
      () => {},
    );
  }

  #outcome(outcome: Outcome): string {
    if (!outcome.ok) return outcome.error.code;
    const unseenBy = outcome.unseenBy.map((peerId) => this.#peerName(peerId)).sort();
    const unseen = unseenBy.length > 0 ? `, not seen by ${unseenBy.join(' and ')}` : '';
    return `ok${outcome.pin === undefined ? ', nothing to show' : ''}${unseen}`;
  }

  #showChanges(peer: TestPeer): void {
    const now = this.#describe(peer);
    const before = this.#shown.get(peer.name) ?? [];
    for (const line of now) if (!before.includes(line)) this.#said.push(`${peer.name}: ${line}`);
    const keys = new Set(now.map((line) => line.split(' = ')[0]));
    for (const line of before) {
      const [key] = line.split(' = ');
      if (line.includes(' = ') && !keys.has(key)) this.#said.push(`${peer.name}: ${key} is gone`);
    }
    this.#shown.set(peer.name, now);
  }

  #describe(peer: TestPeer): string[] {
    const { phase, alerts, rebuild } = peer.consensus.status();
    const { clock, rows } = this.#state(peer);
    const entries = [...clock].map(
      ([rid, { sequence, floor }]) => `${this.#replica(rid)}.${sequence}${floor > 0 ? ` (floor ${floor})` : ''}`,
    );
    const lines = [`phase ${phase}`, `clock ${entries.sort().join(' ')}`];
    if (rebuild !== undefined) lines.push(`shadow ${rebuild.step}`);
    const rewriting = rewritten(peer);
    if (rewriting !== undefined) lines.push(`writes again from ${rewriting} on, and shows nobody its rows`);
    for (const { kind, peerId } of alerts) lines.push(`alert ${kind} about ${this.#peerName(peerId)}`);
    const described = [...rows].map(([key, dots]) => {
      const texts = dots.map((dot) => this.#dot(dot));
      return `${nameOfKey(Buffer.from(key, 'hex'))} = ${texts.sort().join(', ')}`;
    });
    return [...lines, ...described.sort()];
  }

  #dot({ rid, sequence, stamp, placement }: TrueDot): string {
    const at = placement.allocations.map((peerId) => this.#peerName(peerId)).sort();
    const isAmended = placement.stamp !== stamp || placement.rid !== rid;
    return `${this.#replica(rid)}.${sequence}${at.length > 0 ? ` at ${at.join('+')}` : ''}${isAmended ? '*' : ''}`;
  }

  #replica(rid: string): string {
    const known = this.#replicas.get(rid);
    if (known !== undefined) return known;
    const author = [...this.#states().values(), ...this.#archive.states()]
      .flatMap(({ log }) => [...log.values()].flat())
      .find(({ batch }) => hex(batch.rid) === rid)?.batch.head;
    const owner = [...this.#cluster.peers.values()].find(
      ({ signer }) => author !== undefined && byteString(author.author).endsWith(byteString(signer.publicKey)),
    );
    const name = `${owner?.name ?? '?'}${[...this.#replicas.values()].filter((other) => other.startsWith(owner?.name ?? '?')).length + 1}`;
    if (owner !== undefined) this.#replicas.set(rid, name);
    return name;
  }

  #peerName(peerId: string): string {
    return [...this.#cluster.peers.values()].find((peer) => peer.peerId === peerId)?.name ?? '?';
  }

  #state(peer: TestPeer): StateOfPeer {
    return stateOf(peer.storage.read, peer.pinset);
  }

  #states(): Map<string, StateOfPeer> {
    return new Map(this.#up().map((peer) => [peer.name, this.#state(peer)]));
  }

  #twice(problems: readonly string[]): string[] {
    return problems.map((problem) => {
      const [, rid = '', range = ''] = problem.split(' ');
      const replica = [...this.#replicas].find(([known]) => known.startsWith(rid))?.[1] ?? rid;
      const [first, last] = range.split('-');
      return `BROKEN I6: ${replica}.${first === last ? first : range} means two things`;
    });
  }

  #check(): void {
    const states = this.#states();
    this.#archive.look(states);
    const history = History.of([...states.values(), ...this.#archive.states()]);
    // A number that means two things has no truth to hold the rows against.
    if (history.problems.length > 0) return void this.#said.push(...this.#twice(history.problems));
    for (const [name, state] of states)
      if (rewritten(this.#cluster.peer(name)) === undefined)
        this.#said.push(...history.check(name, state).map((problem) => `BROKEN ${problem}`));
  }
}

const noFollows = { followPeersMax: 0 };
const shortLog = {
  ...noFollows,
  logAgeMinMs: 1_000,
  logAgeMaxMs: 1_000,
  rebuildPatienceMs: 500,
  shadowStallTimeoutMs: 15_000,
  antiEntropyIntervalMs: 500,
};

/** N4: the next operation that is to be written again. */
function rewritten(peer: TestPeer): number | undefined {
  const forks = [...peer.storage.read.range(forksTable)].map(({ value }) => JSON.parse(Buffer.from(value).toString()));
  return forks.find(({ state }) => state === 'rewriting')?.next;
}

function namesIn(text: string): string[] | 'all' {
  if (text === 'all') return 'all';
  return text === 'none' ? [] : text.split(',');
}

const keyNames = new Map(Array.from({ length: 10 }, (_, i) => [hex(testKey(`k${i}`)), `k${i}`]));

function nameOfKey(key: Uint8Array): string {
  return keyNames.get(hex(key)) ?? hex(key).slice(0, 8);
}
