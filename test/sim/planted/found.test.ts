import t from 'tap';
import { catalogue } from './catalogue.ts';
import { findPlanted } from './run-planted.ts';

/**
 * For each checker a fault that it finds within a few seeds. A checker that has become blind lets every seed pass: the whole catalogue,
 * which would show it, is too long to be run each time.
 */
const soonFound = [
  'acknowledge-before-flush',
  'clock-inside-batch',
  'superseded-left-out',
  'dependencies-left-out',
  'floor-not-raised',
  'cut-by-own-clock',
  'swap-tells-nobody',
  'stream-forgotten-by-author',
  'index-forgotten-on-change',
  'digest-keeps-removed',
  'watch-hides-removals',
  'work-not-noted',
  'pinned-too-early',
  'removed-member-again',
  'copy-given-up-early',
  'lost-at-once',
  'old-copies-stay',
  'lost-bucket-is-whole',
];

for (const name of soonFound) {
  t.test(name, async (t) => {
    const fault = catalogue.find((each) => each.name === name);
    if (fault === undefined) throw new Error('there is no such fault');
    t.ok(await findPlanted(fault, { seedsMax: 30 }));
  });
}
