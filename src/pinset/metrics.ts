import type { MetricsRegister } from '../runtime/metrics.ts';

export interface PinsetReadings {
  pins(): number;
  feedBytes(): number;
  indexBytes(): number;
  rowBytes(): number;
  revision(): number;
  damagedBuckets(): number;
}

export function pinsetMetrics(register: MetricsRegister, readings: PinsetReadings) {
  register.gauge({ name: 'pinfold_pinset_pins', help: 'Pins in the pinset.' }, (g) => g.set(readings.pins()));
  register.gauge({ name: 'pinfold_pinset_rows_bytes', help: 'Disk used by the rows of pins.' }, (g) =>
    g.set(readings.rowBytes()),
  );
  register.gauge({ name: 'pinfold_pinset_indexes_bytes', help: 'Disk used by the indexes of pins.' }, (g) =>
    g.set(readings.indexBytes()),
  );
  register.gauge({ name: 'pinfold_pinset_feed_bytes', help: 'Disk used by the change feed.' }, (g) =>
    g.set(readings.feedBytes()),
  );
  register.gauge({ name: 'pinfold_pinset_revision', help: 'Transactions committed to the pinset on this peer.' }, (g) =>
    g.set(readings.revision()),
  );
  register.gauge(
    {
      name: 'pinfold_pinset_damaged_buckets',
      help: 'Buckets of 65,536 in which a scrub found damage that was not mended.',
    },
    (g) => g.set(readings.damagedBuckets()),
  );
  return {
    changes: register.counter({ name: 'pinfold_pinset_changes_total', help: 'Rows of pins written or removed.' }),
    undone: register.counter({
      name: 'pinfold_pinset_undone_total',
      help: 'Changes taken back because their transaction was given up.',
    }),
    feedTrimmed: register.counter({
      name: 'pinfold_pinset_feed_trimmed_total',
      help: 'Feed rows removed by age or size.',
    }),
    scrubbed: register.counter<'what'>({
      name: 'pinfold_pinset_scrubbed_total',
      help: 'Rows and index entries that were re-read to find damage.',
      labels: ['what'],
    }),
    emptied: register.counter({ name: 'pinfold_pinset_emptied_total', help: 'Rows removed from a dead table set.' }),
  };
}

export type PinsetMetrics = ReturnType<typeof pinsetMetrics>;
