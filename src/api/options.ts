import { defineOptions, flag, listenAddress, type OptionsOf } from '../config/option.ts';

export const apiOptions = defineOptions('api', 'The doors for clients.', {
  grpcListen: listenAddress({ default: '127.0.0.1:9098', says: 'gRPC, with health and reflection' }),
  httpListen: listenAddress({ default: '127.0.0.1:9094', says: 'Connect and gRPC-Web' }),
  metricsListen: listenAddress({ default: '127.0.0.1:8888', says: 'Prometheus' }),
  insecureNoAuth: flag({
    default: false,
    flag: 'insecure-no-auth',
    says: 'lets the doors listen beyond loopback although nobody has to say who they are',
  }),
});

export type ApiOptions = OptionsOf<typeof apiOptions>;
