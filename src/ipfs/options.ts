import { choice, defineOptions, milliseconds, multiaddrs, type OptionsOf, text } from '../config/option.ts';
import { LISTEN_ADDRESSES_DEFAULT } from './constants.ts';

export const ipfsOptions = defineOptions('ipfs', 'The IPFS node that this peer drives.', {
  kind: choice(['embedded', 'kubo'], {
    default: 'embedded',
    says: '`embedded`: the node that runs inside the daemon; `kubo`: a Kubo daemon, driven by its RPC',
  }),
  network: choice(['private', 'public'], {
    default: 'private',
    scope: 'cluster',
    says: '`private`: only nodes with the swarm key made from the cluster secret; `public`: the common IPFS network',
  }),
  listen: multiaddrs({ default: LISTEN_ADDRESSES_DEFAULT, says: 'where the embedded node listens; TCP only' }),
  connectIntervalMs: milliseconds({
    min: 0,
    default: 60_000,
    says: "how often the node is connected anew with those of the other members, besides when one of them is new; 0: never, so that pins rest on the nodes' own ways to find content",
  }),
  api: text<string>({
    default: '/ip4/127.0.0.1/tcp/5001',
    says: 'the RPC of Kubo: a multiaddr (with `/https` for TLS, or `/unix/PATH`) or a URL',
  }),
  apiAuth: text<string | undefined>({
    default: undefined,
    secret: true,
    max: 8192,
    says: 'credentials for it, as in its own `API.Authorizations`: `basic:USER:PASSWORD` or `bearer:TOKEN`; without: none',
  }),
  apiTlsCa: text<string | undefined>({
    default: undefined,
    says: "PEM file of the authority that its certificate is from; without: one of the system's",
  }),
  apiTlsCert: text<string | undefined>({
    default: undefined,
    says: 'PEM file of the certificate that this peer shows to it; without: none',
  }),
  apiTlsKey: text<string | undefined>({ default: undefined, says: 'PEM file of the key of that certificate' }),
});

export type IpfsOptions = OptionsOf<typeof ipfsOptions>;
