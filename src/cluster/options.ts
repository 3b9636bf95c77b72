import { defineOptions, flag, integer, milliseconds, type OptionsOf, text } from '../config/option.ts';

export const clusterOptions = defineOptions(
  'cluster',
  'Who this peer is in the cluster, and what a pin gets that asks for nothing.',
  {
    name: text<string>({ default: 'pinfold', max: 63, scope: 'cluster', says: 'name of the cluster, for people' }),
    peerName: text<string | undefined>({
      default: undefined,
      max: 255,
      says: 'name of this peer, for people; the host name when it is not set',
    }),
    follower: flag({ default: false, says: 'this peer takes no writes, and no other takes state from it' }),
    replicationMin: integer({
      default: -1,
      min: -1,
      max: 4096,
      scope: 'cluster',
      unit: 'peers',
      says: 'a pin that fewer peers than this can take is refused; -1: every peer',
    }),
    replicationMax: integer({
      default: -1,
      min: -1,
      max: 4096,
      scope: 'cluster',
      unit: 'peers',
      says: 'as many peers as this are given the pin, if there are; -1: every peer',
    }),
    reallocate: flag({
      default: true,
      scope: 'cluster',
      says: 'pins are moved from peers that are lost or are drained, and to more peers where fewer have them than wanted',
    }),
    reallocationGraceMs: milliseconds({
      default: 15 * 60_000,
      min: 1_000,
      scope: 'cluster',
      says: 'how long a peer may be away before it counts as lost and its pins are given to others',
    }),
    reallocatedPinsPerSecondMax: integer({
      default: 200,
      min: 1,
      max: 100_000,
      unit: 'pins',
      says: 'how many pins this peer moves in a second, when it is its turn',
    }),
    expiryIntervalMs: milliseconds({ default: 10_000, min: 100, says: 'how often expired pins are looked for' }),
    expiryDelayMs: milliseconds({
      default: 60_000,
      min: 0,
      scope: 'cluster',
      says: 'how long after its time an expired pin is removed, by the first peer in order; each next one waits as long again',
    }),
  },
);

export type ClusterOptions = OptionsOf<typeof clusterOptions>;
