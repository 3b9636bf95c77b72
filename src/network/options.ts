import { defineOptions, flag, integer, multiaddrs, type OptionsOf } from '../config/option.ts';

export const networkOptions = defineOptions('network', 'The private network between the peers.', {
  listen: multiaddrs({ default: ['/ip4/0.0.0.0/tcp/9096'], says: 'where this peer listens; TCP only' }),
  announce: multiaddrs({
    default: [],
    says: 'addresses told to others instead of the ones listened on, for a peer behind a translated address',
  }),
  bootstrap: multiaddrs({
    default: [],
    flag: 'bootstrap',
    says: 'peers to connect to at the start, each with its `/p2p/ID`; known addresses are remembered without',
  }),
  mdns: flag({ default: false, says: 'finds peers of the same local network by multicast' }),
  connectionsMax: integer({ default: 300, min: 8, max: 10_000, unit: 'connections', says: 'further ones are refused' }),
  insecureNoSecret: flag({
    default: false,
    flag: 'insecure-no-secret',
    says: 'starts without a cluster secret: whoever reaches this peer is then let in',
  }),
});

export type NetworkOptions = OptionsOf<typeof networkOptions>;
