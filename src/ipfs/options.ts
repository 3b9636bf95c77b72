import { choice, defineOptions, multiaddrs, type OptionsOf } from '../config/option.ts';
import { LISTEN_ADDRESSES_DEFAULT } from './constants.ts';

export const ipfsOptions = defineOptions('ipfs', 'The IPFS node that this peer drives.', {
  kind: choice(['embedded'], { default: 'embedded', says: 'the node that runs inside the daemon' }),
  network: choice(['private', 'public'], {
    default: 'private',
    scope: 'cluster',
    says: '`private`: only nodes with the swarm key made from the cluster secret; `public`: the common IPFS network',
  }),
  listen: multiaddrs({ default: LISTEN_ADDRESSES_DEFAULT, says: 'where the embedded node listens; TCP only' }),
});

export type IpfsOptions = OptionsOf<typeof ipfsOptions>;
