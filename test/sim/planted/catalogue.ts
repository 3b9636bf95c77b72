import type { ProfileName } from '../plan/profiles.ts';

/** A plausible mistake, made in a copy of the sources, that the simulator must find. */
export interface PlantedFault {
  readonly name: string;
  readonly says: string;
  /** Which invariants or promises (docs/simulation.md) may be the first to show it. */
  readonly breaks: readonly string[];
  /** Seeds of this profile look for it. */
  readonly profile: ProfileName;
  readonly edits: readonly Edit[];
}

export interface Edit {
  readonly file: string;
  /** Stands exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

const crdt = 'src/consensus/crdt';
const reallocation = 'src/cluster/reallocation';

export const catalogue: readonly PlantedFault[] = [
  {
    name: 'acknowledge-before-flush',
    says: 'the caller is answered when the batch is committed, not when it is on the disk',
    breaks: ['I4'],
    profile: 'crash',
    edits: [
      {
        file: `${crdt}/committer.ts`,
        find: '      await flushed;\n',
        replace: '      for (const call of decided.finished) call.resolve(call.outcomes);\n      await flushed;\n',
      },
    ],
  },
  {
    name: 'gossip-before-flush',
    says: 'a batch is published before it is on its author’s disk',
    breaks: ['F1', 'I6'],
    profile: 'crash',
    edits: [
      {
        file: `${crdt}/committer.ts`,
        find: '      await flushed;\n',
        replace:
          '      if (decided.sealed !== undefined) publish(decided.sealed.batch, decided.sealed.encoded);\n      await flushed;\n',
      },
    ],
  },
  {
    name: 'flushed-too-soon',
    says: 'what is committed counts as flushed: Hello, Sync and positions speak of it',
    breaks: ['F1', 'I4', 'I6', 'I5'],
    profile: 'crash',
    edits: [
      {
        file: `${crdt}/state/store.ts`,
        find: '      await commit.flushed;\n',
        replace: '      await commit.committed;\n',
      },
    ],
  },
  {
    name: 'ignore-causality',
    says: 'a batch is applied without what it depends on (R4 without inc)',
    breaks: ['I3', 'I2', 'I8'],
    profile: 'network',
    edits: [
      {
        file: `${crdt}/core/judge.ts`,
        find: ' || !head.inc.every((entry) => clock.covers(entry))',
        replace: '',
      },
    ],
  },
  {
    name: 'gap-skipped',
    says: 'a later batch of an author moves the clock past one that has not come (R4, R5)',
    breaks: ['I2', 'I7', 'I3', 'I9'],
    profile: 'network',
    edits: [
      { file: `${crdt}/core/judge.ts`, find: 'head.first > taken.sequence + 1 || ', replace: '' },
      {
        file: `${crdt}/core/judge.ts`,
        find: "equalBytes(head.prev, taken.hash) ? 'apply' : 'fork'",
        replace: "'apply'",
      },
    ],
  },
  {
    name: 'clock-before-data',
    says: 'the clock of a group of batches is written in a transaction of its own, before their rows',
    breaks: ['I2', 'I1', 'I7', 'F1'],
    profile: 'crash',
    edits: [
      {
        file: `${crdt}/intake.ts`,
        find: '    const steps = clock.steps();\n',
        replace:
          '    const steps = clock.steps();\n    store.needs.storage.transaction((tx) => { for (const step of steps) store.replicas.put(tx, step); });\n',
      },
    ],
  },
  {
    name: 'clock-inside-batch',
    says: 'the clock moves to the first operation of a batch that was applied whole',
    breaks: ['I9', 'I2', 'I11', 'F1', 'DEFECT'],
    profile: 'bulk',
    edits: [
      {
        file: `${crdt}/intake.ts`,
        find: 'clock.stage({ replica: prepared.replica, sequence: batch.head.last, hash: batch.hash });',
        replace: 'clock.stage({ replica: prepared.replica, sequence: batch.head.first, hash: batch.hash });',
      },
    ],
  },
  {
    name: 'reuse-incarnation',
    says: 'a store that was put back goes on as the replica that it was (N1)',
    breaks: ['I6'],
    profile: 'restore',
    edits: [
      {
        file: `${crdt}/state/store.ts`,
        find: 'if (self === undefined || !equalBytes(self.identityStamp, stamp)) {',
        replace: 'if (self === undefined) {',
      },
    ],
  },
  {
    name: 'restart-compares-with-nobody',
    says: 'a peer that starts writes before it has compared clocks with others (N3)',
    breaks: ['I6'],
    profile: 'rollback',
    edits: [
      {
        file: `${crdt}/forks/first-contact.ts`,
        find: 'options.restartCompareTimeoutMs === 0',
        replace: 'options.restartCompareTimeoutMs > 0',
      },
    ],
  },
  {
    name: 'ahead-of-itself',
    says: 'a peer that hears of more operations of its own than it has goes on as the replica that it was (N3)',
    breaks: ['I6'],
    profile: 'rollback',
    edits: [
      {
        file: `${crdt}/forks/forks.ts`,
        find: "    if (replica === this.#needs.store.own) this.incarnations.renew('the store was put back');\n",
        replace: '',
      },
    ],
  },
  {
    name: 'branch-not-written-again',
    says: 'an author gives up one of its two histories, and writes nothing of it again (N4)',
    breaks: ['I4', 'I2'],
    profile: 'forks',
    edits: [
      {
        file: `${crdt}/forks/rewriter.ts`,
        find: '      if (operation !== undefined) {',
        replace: '      if (operation !== undefined && operation.kind > 9) {',
      },
    ],
  },
  {
    name: 'seen-early-forgotten',
    says: 'what was taken in before the dot that it saw is not done again when the dot comes (N4)',
    breaks: ['I2'],
    profile: 'forks',
    edits: [
      {
        file: `${crdt}/intake.ts`,
        find: '  entry.after = afterSeenEarly(entry.after, dot, seen, store.needs.pinset.names.replicas);\n',
        replace: '  void dot;\n',
      },
    ],
  },
  {
    name: 'given-up-rows-are-merged',
    says: 'a rebuild takes rows from a peer that has another history of an author (B2, N4)',
    breaks: ['I11', 'I4', 'I2'],
    profile: 'forks',
    edits: [
      {
        file: `${crdt}/handlers.ts`,
        find: 'if (forks.holdsGivenUp)',
        replace: 'if (forks.holdsGivenUp && forks.hidesRows)',
      },
      {
        file: `${crdt}/rebuild/range-fill.ts`,
        find: '        await this.#checkForked(ct, own, signal);\n',
        replace: '        if (ct.length < 0) await this.#checkForked(ct, own, signal);\n',
      },
    ],
  },
  {
    name: 'dependencies-left-out',
    says: 'a batch does not name what its author took in last (inc one short)',
    breaks: ['I2', 'I3', 'I8'],
    profile: 'network',
    edits: [
      {
        file: `${crdt}/core/own-header.ts`,
        find: 'entry.sequence > base(entry)',
        replace: 'entry.sequence > base(entry) + 1',
      },
    ],
  },
  {
    name: 'superseded-left-out',
    says: 'a pin lists one of the dots that it replaces, not all',
    breaks: ['I2'],
    profile: 'network',
    edits: [
      {
        file: `${crdt}/core/batch-builder.ts`,
        find: 'row.length === 0 ? noDots : dotsOf(row), value, allocations',
        replace: 'row.length === 0 ? noDots : dotsOf(row).slice(0, 2), value, allocations',
      },
    ],
  },
  {
    name: 'pin-removes-nothing',
    says: 'a receiver adds the dot of a pin and leaves those that it replaces',
    breaks: ['I2'],
    profile: 'quiet',
    edits: [
      {
        file: `${crdt}/core/rows.ts`,
        find: '  const rest = withoutSeen(row, seen);\n  if (rest.length === 0)',
        replace: '  const rest = row;\n  if (rest.length === 0)',
      },
    ],
  },
  {
    name: 'merge-brings-back',
    says: 'a rebuild keeps own rows that the source knows to be removed',
    breaks: ['I2'],
    profile: 'rebuild',
    edits: [
      {
        file: `${crdt}/core/merge.ts`,
        find: '    else if (dot.sequence > ct(dot.replica)) merged.push(dot);',
        replace: '    else merged.push(dot);',
      },
    ],
  },
  {
    name: 'swap-before-goal',
    says: 'a shadow becomes live before it has taken in all that its ranges were of',
    breaks: ['I2', 'I1', 'I3'],
    profile: 'rebuild',
    edits: [
      { file: `${crdt}/rebuild/swap.ts`, find: '  if (!shadow.clock.coversGoal) return undefined;\n', replace: '' },
      {
        file: `${crdt}/core/rebuild.ts`,
        find: 'return covers(shadow.taken, shadow.goal) && lacking',
        replace: 'return lacking',
      },
      {
        file: `${crdt}/core/rebuild.ts`,
        find: "  if (!covers(shadow.taken, shadow.goal)) throw new Error('a swap before C′ covers the goal (B5)');\n",
        replace: '',
      },
      { file: `${crdt}/rebuild/rebuilder.ts`, find: 'if (this.#shadow.clock.coversGoal) return;', replace: 'return;' },
    ],
  },
  {
    name: 'floor-not-raised',
    says: 'after a join the floor stays where it was, although the log begins later',
    breaks: ['I7'],
    profile: 'join',
    edits: [{ file: `${crdt}/core/rebuild.ts`, find: 'raised.set(rid, base);', replace: '{}' }],
  },
  {
    name: 'call-forgotten-by-receivers',
    says: 'who takes in a batch does not remember the calls in it (6.3)',
    breaks: ['6.3'],
    profile: 'network',
    edits: [
      {
        file: `${crdt}/remember.ts`,
        find: 'if (key === undefined || readRemembered(tx, key) !== undefined) continue;',
        replace: "if (key === undefined || into === 'live') continue;",
      },
    ],
  },
  {
    name: 'stream-forgotten-by-author',
    says: 'how far a stream is decided is not written with its operations',
    breaks: ['6.3'],
    profile: 'bulk',
    edits: [{ file: `${crdt}/committer.ts`, find: '    this.#streams.put(tx);\n', replace: '' }],
  },
  {
    name: 'stream-forgotten-by-receivers',
    says: 'who takes in a batch does not note how far its streams are decided',
    breaks: ['6.3'],
    profile: 'bulk',
    edits: [
      {
        file: `${crdt}/remember.ts`,
        find: '    rememberStream(tx, stream, row, store, into);\n',
        replace: "    if (into === 'shadow') rememberStream(tx, stream, row, store, into);\n",
      },
    ],
  },
  {
    name: 'expiry-takes-renewed',
    says: 'an expiry removes every dot of the key, renewed ones as well',
    breaks: ['I10'],
    profile: 'expiry',
    edits: [
      {
        file: `${crdt}/core/batch-builder.ts`,
        find: 'const expired = row.filter(isExpired);',
        replace: 'const expired = row;',
      },
    ],
  },
  {
    name: 'index-forgotten-on-change',
    says: 'a pin that is changed leaves its old entries in the indexes',
    breaks: ['INDEX'],
    profile: 'quiet',
    edits: [
      {
        file: 'src/pinset/indexer.ts',
        find: '    for (const [table, entry] of gone) remove(table, entry);\n',
        replace: '',
      },
    ],
  },
  {
    name: 'expiry-not-indexed',
    says: 'pins that expire are not in the index by expiry',
    breaks: ['INDEX'],
    profile: 'tracker',
    edits: [
      {
        file: 'src/pinset/indexer.ts',
        find: '    if (fields.expiresMs > 0) sink(set.byExpiry, timeKey(key, namespace, fields.expiresMs));\n',
        replace: '',
      },
    ],
  },
  {
    name: 'digest-keeps-removed',
    says: 'the digest does not change when a pin goes',
    breaks: ['DIGEST', 'I2'],
    profile: 'quiet',
    edits: [
      {
        file: 'src/pinset/row-writer.ts',
        find: 'hashOf(names, key, after), hashOf(names, key, before));',
        replace: "hashOf(names, key, after), after.length === 0 ? '' : hashOf(names, key, before));",
      },
    ],
  },
  {
    name: 'swap-tells-nobody',
    says: 'the feed does not name what a swap changed',
    breaks: ['I12', 'WATCH', 'I8'],
    profile: 'rebuild',
    edits: [
      {
        file: `${crdt}/rebuild/swap.ts`,
        find: 'pinset.shadow.swap(tx, keys);',
        replace: 'pinset.shadow.swap(tx, []);',
      },
    ],
  },
  {
    name: 'watch-resumes-one-too-late',
    says: 'a resumed watch goes on behind the change that follows its token',
    breaks: ['WATCH'],
    profile: 'watch',
    edits: [
      {
        file: 'src/cluster/pin-watch.ts',
        find: 'return { revision: resumed.revision, keys: [] };',
        replace: 'return { revision: Math.min(now, resumed.revision + 1), keys: [] };',
      },
    ],
  },
  {
    name: 'watch-tells-unflushed',
    says: 'a watch tells what may be lost with power',
    breaks: ['WATCH'],
    profile: 'power',
    edits: [{ file: 'src/cluster/pin-watch.ts', find: '    await this.#needs.pinset.flushed();\n', replace: '' }],
  },
  {
    name: 'watch-hides-removals',
    says: 'a watch does not tell of pins that go',
    breaks: ['WATCH'],
    profile: 'watch',
    edits: [
      {
        file: 'src/cluster/pin-watch.ts',
        find: "? [{ kind: 'unpinned', cid, namespace }] : [];",
        replace: '? [] : [];',
      },
    ],
  },
  {
    name: 'pinned-too-early',
    says: 'a pin counts as pinned when the node has been asked, not when it has it',
    breaks: ['PINNED', 'I8'],
    profile: 'tracker',
    edits: [
      {
        file: 'src/tracker/attempt.ts',
        find: 'return connector.pin(wish, { signal, stallTimeoutMs: options.pinTimeoutMs });',
        replace:
          'void connector.pin(wish, { signal, stallTimeoutMs: options.pinTimeoutMs }).catch(() => {});\n    return;',
      },
    ],
  },
  {
    name: 'retry-at-the-front',
    says: 'what fails is tried again at once, before all others, for ever',
    breaks: ['NODE', 'WATCH'],
    profile: 'tracker',
    edits: [
      {
        file: 'src/tracker/fair-queue.ts',
        find: 'items.push(item);',
        replace: 'items.unshift(item);',
      },
      {
        file: 'src/tracker/attempt.ts',
        find: "const status = job.action === 'pin' ? 'pin_error' : 'unpin_error';",
        replace:
          "if (job.action === 'pin') return { ...queuedRow('pin_queued', nowMs, row), errorClass, error };\n  const status = 'unpin_error';",
      },
    ],
  },
  {
    name: 'work-not-noted',
    says: 'work taken from the feed is not noted on disk with how far the feed was read',
    breaks: ['NODE', 'WATCH'],
    profile: 'crash',
    edits: [
      {
        file: 'src/tracker/intake.ts',
        find: '      if (looked.noted.length > 0) {\n',
        replace: '      if (looked.noted.length < 0) {\n',
      },
    ],
  },
  {
    name: 'unpin-forgotten',
    says: 'a node keeps what nobody claims any more',
    breaks: ['NODE'],
    profile: 'quiet',
    edits: [
      {
        file: 'src/tracker/wish.ts',
        find: "occasion === 'seen' ? nothing : { kind: 'unpin' };\n  }",
        replace: "occasion === 'seen' ? nothing : nothing;\n  }",
      },
    ],
  },
  {
    name: 'range-below-clock',
    says: 'a rebuild takes a range from a source that lacks what the shadow has passed over (B2)',
    breaks: ['I2', 'I1'],
    profile: 'rebuild',
    edits: [
      { file: `${crdt}/core/rebuild.ts`, find: "  if (!covers(e, shadow.taken)) return 'behind';\n", replace: '' },
    ],
  },
  {
    name: 'rebuild-forgets-calls',
    says: 'what a shadow takes from logs is not remembered for retries',
    breaks: ['6.3'],
    profile: 'rebuild',
    edits: [
      {
        file: `${crdt}/rebuild/shadow-intake.ts`,
        find: "      remember(tx, prepared, this.#store, 'shadow');\n",
        replace: '',
      },
    ],
  },
  {
    name: 'cut-by-own-clock',
    says: 'the log is cut by what this peer has, whatever the others have acknowledged',
    breaks: ['L1'],
    profile: 'rebuild',
    edits: [
      {
        file: `${crdt}/core/log-cut.ts`,
        find: 'acknowledged.length === 0 ? new Map<string, number>() : acknowledged.reduce<Clock>(common, old)',
        replace: 'old',
      },
    ],
  },
  {
    name: 'cut-above-floor',
    says: 'the log is cut a little above its floor',
    breaks: ['I7', 'DEFECT', 'I8'],
    profile: 'rebuild',
    edits: [
      {
        file: `${crdt}/log/log-cutter.ts`,
        find: 'to: logKey(number, floor + 1), limit: LOG_CUT_ROWS_MAX',
        replace: 'to: logKey(number, floor + 3), limit: LOG_CUT_ROWS_MAX',
      },
    ],
  },
  {
    name: 'level-by-clock-in-memory',
    says: 'a peer acknowledges what is not yet on its disk',
    breaks: ['I5'],
    profile: 'crash',
    edits: [
      {
        file: `${crdt}/acknowledger.ts`,
        find: '(ridText)?.flushedSequence ?? 0;\n    return flushed > sent',
        replace: '(ridText)?.sequence ?? 0;\n    return flushed > sent',
      },
      {
        file: `${crdt}/acknowledger.ts`,
        find: 'want.sent = replica.flushedSequence;',
        replace: 'want.sent = replica.sequence;',
      },
      {
        file: `${crdt}/acknowledger.ts`,
        find: 'clockEntry(replica.rid, replica.flushedSequence, replica.flushedHash)',
        replace: 'clockEntry(replica.rid, replica.sequence, replica.hash)',
      },
    ],
  },
  {
    name: 'removed-member-again',
    says: 'the record of a member that was removed is taken again from whoever still has it',
    breaks: ['MEMBERS'],
    profile: 'members',
    edits: [
      {
        file: 'src/monitor/gossip-monitor.ts',
        find: "    if (this.#forgotten.covers(peerId, version)) return 'ignore';\n",
        replace: '',
      },
    ],
  },
  {
    name: 'removal-by-gossip-only',
    says: 'who was away when a member was removed is not told at the next Hello',
    breaks: ['MEMBERS'],
    profile: 'members',
    edits: [
      {
        file: 'src/monitor/gossip-monitor.ts',
        find: 'const forgotten = this.#forgotten.forHello();',
        replace: 'const forgotten = this.#forgotten.forHello().slice(0, 0);',
      },
    ],
  },
  {
    name: 'door-in-the-corridor',
    says: 'also in Sync a batch is dropped whose author this peer does not trust, and all that rests on it waits for ever',
    breaks: ['I8'],
    profile: 'trust',
    edits: [
      {
        file: `${crdt}/intake.ts`,
        find: '    this.#queue.push({ batch, from });\n',
        replace:
          '    if (!this.#needs.isTrusted(formatPeerId(batch.head.author))) return;\n    this.#queue.push({ batch, from });\n',
      },
    ],
  },
  {
    name: 'door-open',
    says: 'gossip is taken in from whoever wrote it',
    breaks: ['T3'],
    profile: 'trust',
    edits: [
      {
        file: `${crdt}/gossip.ts`,
        find: 'if (!isTrusted(author)) {',
        replace: 'if (isTrusted(author) === undefined) {',
      },
    ],
  },
  {
    name: 'struck-off-goes-on',
    says: 'a stream from a peer that is struck off goes on to its end',
    breaks: ['T3'],
    profile: 'trust',
    edits: [
      {
        file: `${crdt}/trust/trusted-calls.ts`,
        find: '        if (!isTrusted(peerId)) throw struckOff(peerId);\n        yield',
        replace: '        yield',
      },
      { file: `${crdt}/trust/trust-keeper.ts`, find: '        followers.left(peerId);\n', replace: '' },
    ],
  },
  {
    name: 'trust-of-the-first-only',
    says: 'an answer names whoever does not trust the author, also those who get it through others',
    breaks: ['T4'],
    profile: 'trust',
    edits: [
      {
        file: `${crdt}/core/trust-reach.ts`,
        find: 'if (!member.isFollower) handingOn.push(member.peerId);',
        replace: '',
      },
    ],
  },
  {
    name: 'stale-reach',
    says: 'an answer goes by the trust lists as they were when the author first wrote',
    breaks: ['T4'],
    profile: 'trust',
    edits: [
      {
        file: `${crdt}/trust/trust.ts`,
        find: '    this.#unseen.clear();\n    if (this.listOf',
        replace: '    if (this.listOf',
      },
      {
        file: `${crdt}/trust/trust.ts`,
        find: 'if (this.#lists.add(messages, named)) this.#unseen.clear();',
        replace: 'this.#lists.add(messages, named);',
      },
    ],
  },
  {
    name: 'trust-list-lost',
    says: 'of the lists that are not known only those are asked for whose peer is trusted',
    breaks: ['T4'],
    profile: 'trust',
    edits: [
      {
        file: `${crdt}/meeting.ts`,
        find: '    trust.receive(hello.trustLists);\n    if (!isTrusted(from)) return;\n',
        replace: '    if (!isTrusted(from)) return;\n    trust.receive(hello.trustLists);\n',
      },
    ],
  },
  {
    name: 'hello-to-the-trusted-only',
    says: 'who is not trusted is greeted when it connects, and never again: what was lost then is never heard',
    breaks: ['I8', 'T4', 'MEMBERS'],
    profile: 'trust',
    edits: [
      {
        file: `${crdt}/crdt-consensus.ts`,
        find: 'peers: () => this.#neighbours.connected(),',
        replace: 'peers: () => this.#neighbours.reached(),',
      },
    ],
  },
  {
    name: 'level-by-the-queue',
    says: 'PINNED n counts nodes that are at it as those that hold it',
    breaks: ['PINNED'],
    profile: 'tracker',
    edits: [
      {
        file: 'src/cluster/pinned-waits.ts',
        find: "if (status === 'pinned') wish.heldBy.add(peerId);",
        replace: "if (status === 'pinned' || status === 'pinning') wish.heldBy.add(peerId);",
      },
    ],
  },
  {
    name: 'copy-given-up-early',
    says: 're-allocation takes a pin off old peers before new ones hold it',
    breaks: ['COPIES'],
    profile: 'placement',
    edits: [
      {
        file: `${reallocation}/next-placement.ts`,
        find: 'if (copies >= replicationMin) return [...desired];',
        replace: 'if (copies >= 0) return [...desired];',
      },
    ],
  },
  {
    name: 'allocated-counts-as-held',
    says: 'a peer that a pin was just given counts as one that holds it',
    breaks: ['COPIES'],
    profile: 'placement',
    edits: [
      {
        file: `${reallocation}/holdings.ts`,
        find: "return status === 'pin_error' ? 'lacks' : 'unknown';",
        replace: "return 'holds';",
      },
    ],
  },
  {
    name: 'lost-at-once',
    says: 'a peer is lost as soon as it is not heard, without the grace period',
    breaks: ['FLAP'],
    profile: 'placement',
    edits: [
      {
        file: `${reallocation}/absences.ts`,
        find: 'this.#needs.clock.monotonicMs() - since >= this.#init.graceMs',
        replace: 'this.#needs.clock.monotonicMs() - since >= 0',
      },
    ],
  },
  {
    name: 'lost-never',
    says: 'what a lost peer holds is given to nobody',
    breaks: ['PLACED'],
    profile: 'placement',
    edits: [
      {
        file: `${reallocation}/absences.ts`,
        find: 'return this.#isOverdue(peerId) && this.#isMajorityUp();',
        replace: 'return false;',
      },
    ],
  },
  {
    name: 'never-down',
    says: 'a member that is silent stays up for the others',
    breaks: ['PLACED', 'T4', 'MEMBERS', 'I8'],
    profile: 'placement',
    edits: [
      {
        file: 'src/monitor/members.ts',
        find: 'const silentMs = runningMs - entry.aliveMs;',
        replace: 'const silentMs = entry.aliveMs - entry.aliveMs;',
      },
    ],
  },
  {
    name: 'drained-still-takes',
    says: 'a peer that is drained is given pins like any other',
    breaks: ['PLACED'],
    profile: 'placement',
    edits: [
      {
        file: 'src/allocator/standing.ts',
        find: "if (member.isDraining) return { code: 'DRAINING' };",
        replace: '',
      },
    ],
  },
  {
    name: 'drain-forgotten-at-restart',
    says: 'a peer that is drained does not say so any more after a restart',
    breaks: ['PLACED'],
    profile: 'placement',
    edits: [
      {
        file: 'src/monitor/own-word.ts',
        find: '    this.#draining = last?.record.draining ?? false;\n',
        replace: '',
      },
    ],
  },
  {
    name: 'old-copies-stay',
    says: 're-allocation adds peers and never takes a pin off the old ones',
    breaks: ['PLACED'],
    profile: 'placement',
    edits: [
      {
        file: `${reallocation}/next-placement.ts`,
        find: 'if (copies >= replicationMin) return [...desired];',
        replace: 'if (copies > desired.length) return [...desired];',
      },
    ],
  },
  {
    name: 'below-max-is-enough',
    says: 'a pin that has fewer peers than it wants is given no more',
    breaks: ['PLACED'],
    profile: 'placement',
    edits: [
      {
        file: `${reallocation}/places.ts`,
        find: 'const canGetMore = valid < replicationMax && taking < places.takers.length;',
        replace: 'const canGetMore = valid < replicationMin && taking < places.takers.length;',
      },
    ],
  },
  {
    name: 'written-pins-overlooked',
    says: 'pins that were just written are not looked at',
    breaks: ['PLACED'],
    profile: 'placement',
    edits: [
      {
        file: `${reallocation}/reallocator.ts`,
        find: 'if (written.keys === undefined) isLeft = true;',
        replace: 'if (written.keys === undefined) isLeft = false;',
      },
    ],
  },
  {
    name: 'lost-bucket-is-whole',
    says: 'a scrub passes over buckets without rows, also those that have lost them',
    breaks: ['DAMAGE'],
    profile: 'damage',
    edits: [
      {
        file: 'src/pinset/scrub/store-scrub.ts',
        find: 'const isOff = sum !== digest && unreadable.length === 0;',
        replace: 'const isOff = sum !== digest && unreadable.length === 0 && rows.length > 0;',
      },
    ],
  },
  {
    name: 'damaged-side-is-right',
    says: 'a repair takes the side that is not what its digest says for the right one',
    breaks: ['DAMAGE', 'I1', 'I2'],
    profile: 'damage',
    edits: [
      {
        file: `${crdt}/core/repair.ts`,
        find: "if (!isMineSound && isTheirsSound && theirs.sum === mine.digest) return 'restore';",
        replace: "if (!isMineSound && isTheirsSound && theirs.sum === mine.digest) return 'keep';",
      },
      {
        file: `${crdt}/core/repair.ts`,
        find: "if (isMineSound && !isTheirsSound && mine.sum === theirs.digest) return 'keep';",
        replace: "if (isMineSound && !isTheirsSound && mine.sum === theirs.digest) return 'restore';",
      },
    ],
  },
  {
    name: 'digest-of-damaged-rows',
    says: 'a start counts the digest from the rows, whatever has become of them',
    breaks: ['DAMAGE', 'DIGEST'],
    profile: 'damage',
    edits: [
      {
        file: 'src/pinset/local-pinset.ts',
        find: 'if (!replay(this.#sums, read, this.#checkpoint, this.#revision)) {',
        replace: 'if (replay(this.#sums, read, this.#checkpoint, this.#revision) && this.#revision > 0) {',
      },
    ],
  },
  {
    name: 'written-on-damaged-rows',
    says: 'a write sees dots that only damage can have put there, so that others take nothing more of its author',
    breaks: ['I8', 'I3'],
    profile: 'damage',
    edits: [
      {
        file: `${crdt}/writable-row.ts`,
        find: 'if (sequence > covered)',
        replace: 'if (sequence > covered && covered < 0)',
      },
    ],
  },
  {
    name: 'damage-handed-on',
    says: 'who joins takes rows that are not what the digest of their source says',
    breaks: ['I1', 'I2', 'DIGEST', 'DAMAGE', 'CRASH', 'DEFECT'],
    profile: 'damage',
    edits: [
      {
        file: `${crdt}/rebuild/range-check.ts`,
        find: 'throw new TheirDamage(this.#bucket);',
        replace: 'void TheirDamage;',
      },
    ],
  },
  {
    name: 'revision-of-another-history',
    says: 'a watch goes on from a revision number that a disk that was put back has given to another change',
    breaks: ['WATCH'],
    profile: 'forks',
    edits: [
      {
        file: 'src/cluster/history-at.ts',
        find: 'return mark && Buffer.concat([consensus.history, mark]);',
        replace: 'return mark && Buffer.from(consensus.history);',
      },
    ],
  },
  {
    name: 'position-of-another-history',
    says: 'a watch goes on at another peer, which has other operations where the token ends than it speaks of',
    breaks: ['WATCH'],
    profile: 'forks',
    edits: [
      {
        file: `${crdt}/changed-since.ts`,
        find: 'if (hash.length === 0 || replica === undefined)',
        replace: 'if (hash.length >= 0 || replica === undefined)',
      },
    ],
  },
  {
    name: 'damaged-log-stands',
    says: 'the floor does not rise above what is damaged of the log, so that whoever lacks it asks for it for ever',
    breaks: ['I8', 'DEFECT', 'CRASH'],
    profile: 'damage',
    edits: [
      {
        file: `${crdt}/log/log-cutter.ts`,
        find: 'store.raiseFloors([replica], floors);',
        replace: 'void floors;',
      },
    ],
  },
  {
    name: 'damaged-state-stops-the-tracker',
    says: 'the tracker does not start over a state of its own that cannot be read',
    breaks: ['START', 'NODE', 'DEFECT', 'I8'],
    profile: 'damage',
    edits: [
      {
        file: 'src/tracker/status-index.ts',
        find: 'if (stored === undefined || state !== undefined) {',
        replace: 'if (stored === undefined || state !== undefined || fromBinary(StatusStateSchema, stored)) {',
      },
      {
        file: 'src/tracker/status-index.ts',
        find: 'import { create, toBinary }',
        replace: 'import { create, fromBinary, toBinary }',
      },
    ],
  },
  {
    name: 'unreadable-row-stops-the-tracker',
    says: 'the tracker ends at a row that cannot be read, and the next start with it',
    breaks: ['NODE', 'START', 'DEFECT'],
    profile: 'damage',
    edits: [
      {
        file: 'src/tracker/wish.ts',
        find: 'return unlessCorrupt(() => wanted(pinset.claims(cid), peerId));',
        replace: 'return wanted(pinset.claims(cid), peerId);',
      },
    ],
  },
  {
    name: 'lost-row-goes-unsaid',
    says: 'the feed does not name a key that was unpinned when a disk had lost its row already',
    breaks: ['WATCH', 'NODE'],
    profile: 'damage',
    edits: [{ file: `${crdt}/intake.ts`, find: 'rows.changesAndAbsent()', replace: 'rows.changes()' }],
  },
];
