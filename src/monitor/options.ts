import { defineOptions, milliseconds, type OptionsOf, textMap } from '../config/option.ts';

export const monitorOptions = defineOptions('monitor', 'What peers tell each other about themselves.', {
  pingIntervalMs: milliseconds({ default: 15_000, min: 100, says: 'how often this peer says that it is alive' }),
  metricTtlMs: milliseconds({
    default: 30_000,
    min: 1000,
    max: 600_000,
    says: 'how long what this peer measured counts; a peer silent for longer is taken for down',
  }),
  tags: textMap({ default: {}, says: 'tags of this peer, such as `region` and `zone`' }),
});

export type MonitorOptions = OptionsOf<typeof monitorOptions>;
