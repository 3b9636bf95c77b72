import { choice, defineOptions, type OptionsOf } from '../config/option.ts';
import { PinfoldError } from '../model/errors.ts';

export const consensusKinds = ['crdt', 'raft'] as const;

export type ConsensusKind = (typeof consensusKinds)[number];

export const consensusOptions = defineOptions('consensus', 'How the peers agree on the pinset.', {
  kind: choice(consensusKinds, {
    default: 'crdt',
    scope: 'cluster',
    says: 'chosen at `pinfold init` and written into the store: it cannot be changed later',
  }),
});

export type ConsensusOptions = OptionsOf<typeof consensusOptions>;

/** The one place that refuses a consensus that this version does not have. */
export function requireBuiltConsensus(kind: ConsensusKind): void {
  if (kind === 'crdt') return;
  throw new PinfoldError('UNIMPLEMENTED', `this version has no ${kind} consensus yet: choose \`--consensus crdt\``);
}
