import type { MetricsRegister } from '../../runtime/metrics.ts';
import type { LogStatus } from '../consensus.ts';

export type CrdtMetrics = ReturnType<typeof crdtMetrics>;

/** What waits in memory or in the log, set by whoever holds it. */
export interface WaitingReadings {
  pendingBatches(): number;
  pendingBytes(): number;
  queuedBatches(): number;
  log(): Pick<LogStatus, 'batches' | 'bytes' | 'holders'>;
}

export function crdtMetrics(register: MetricsRegister) {
  const noLog = { batches: 0, bytes: 0, holders: [] };
  const waiting: WaitingReadings = {
    pendingBatches: () => 0,
    pendingBytes: () => 0,
    queuedBatches: () => 0,
    log: () => noLog,
  };
  register.gauge({ name: 'pinfold_crdt_pending_batches', help: 'Batches that wait for what they depend on' }, (g) =>
    g.set(waiting.pendingBatches()),
  );
  register.gauge(
    { name: 'pinfold_crdt_pending_bytes', help: 'Bytes of the batches that wait for what they depend on' },
    (g) => g.set(waiting.pendingBytes()),
  );
  register.gauge({ name: 'pinfold_crdt_queued_batches', help: 'Batches of others that wait for a transaction' }, (g) =>
    g.set(waiting.queuedBatches()),
  );
  register.gauge({ name: 'pinfold_crdt_log_batches', help: 'Batches kept for peers that are behind' }, (g) =>
    g.set(waiting.log().batches),
  );
  register.gauge({ name: 'pinfold_crdt_log_bytes', help: 'Disk used by the log of batches' }, (g) =>
    g.set(waiting.log().bytes),
  );
  register.gauge(
    {
      name: 'pinfold_crdt_lag_operations',
      help: 'Operations that this peer has and the trusted peer farthest behind, of those heard in the last 24 hours, has not acknowledged',
    },
    (g) => g.set(Math.max(0, ...waiting.log().holders.map(({ lacking }) => lacking))),
  );
  return {
    waiting,
    gossipDropped: register.counter({
      name: 'pinfold_crdt_gossip_dropped_total',
      help: 'Batches that gossip brought and that were dropped: too many of one forwarder, or too many waited for their transaction',
    }),
    operations: register.counter({
      name: 'pinfold_crdt_own_operations_total',
      help: 'Operations written by this peer and flushed',
    }),
    batchOperations: register.histogram({
      name: 'pinfold_crdt_batch_operations',
      help: 'Operations in one batch of this peer',
      buckets: [0, 1, 10, 100, 500, 1_000, 2_500, 5_000],
    }),
    taken: register.counter({
      name: 'pinfold_crdt_taken_operations_total',
      help: 'Operations of other peers that were taken in',
    }),
    batches: register.counter<'verdict'>({
      name: 'pinfold_crdt_received_batches_total',
      help: 'Batches of other peers by what was done with them',
      labels: ['verdict'],
    }),
    invalid: register.counter<'reason' | 'door'>({
      name: 'pinfold_crdt_invalid_batches_total',
      help: 'Batches that break a rule and were dropped',
      labels: ['reason', 'door'],
    }),
    pendingDropped: register.counter({
      name: 'pinfold_crdt_pending_dropped_total',
      help: 'Batches that waited for others and were dropped over a limit or after too long',
    }),
    pulls: register.counter<'result'>({
      name: 'pinfold_crdt_pulls_total',
      help: 'Syncs asked of other peers, by how they ended',
      labels: ['result'],
    }),
    hellos: register.counter<'result'>({
      name: 'pinfold_crdt_hellos_total',
      help: 'Hellos to other peers, by how they ended',
      labels: ['result'],
    }),
    published: register.counter<'form'>({
      name: 'pinfold_crdt_published_total',
      help: 'Own batches given to gossip, whole or as announcements',
      labels: ['form'],
    }),
    turnedAway: register.counter({
      name: 'pinfold_crdt_untrusted_batches_total',
      help: 'Batches of authors off the trust list that gossip brought and that were turned away',
    }),
    relayedUntrusted: register.counter({
      name: 'pinfold_crdt_relayed_untrusted_operations_total',
      help: 'Operations of authors off the trust list that were taken in because a trusted peer had them',
    }),
    untrustedReports: register.counter({
      name: 'pinfold_crdt_untrusted_reports_total',
      help: 'Reports of other peers that they turn away what this one writes',
    }),
    rewritten: register.counter({
      name: 'pinfold_crdt_rewritten_operations_total',
      help: 'Own operations written again under a new incarnation, as the store had been put back',
    }),
    shadowRows: register.counter({
      name: 'pinfold_crdt_shadow_rows_total',
      help: 'Rows put into a new table set by joining or rebuilding',
    }),
    logCut: register.counter({
      name: 'pinfold_crdt_log_cut_batches_total',
      help: 'Batches that were cut from the log',
    }),
    rebuilds: register.counter<'result'>({
      name: 'pinfold_crdt_rebuilds_total',
      help: 'Joins and rebuilds, by how they ended',
      labels: ['result'],
    }),
    comparisons: register.counter<'result'>({
      name: 'pinfold_crdt_comparisons_total',
      help: 'Comparisons of digests bucket by bucket, by how they ended',
      labels: ['result'],
    }),
    repaired: register.counter({
      name: 'pinfold_crdt_repaired_rows_total',
      help: 'Rows written by repairs',
    }),
    acknowledgements: register.counter<'result'>({
      name: 'pinfold_crdt_acknowledgements_total',
      help: 'Messages that told an author what of its batches is on the disk here, by how they ended',
      labels: ['result'],
    }),
    levelWaits: register.gauge({
      name: 'pinfold_crdt_level_waits',
      help: 'Calls and messages of bulk streams that wait for other peers to have a write on their disks',
    }),
  };
}
