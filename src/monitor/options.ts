import { defineOptions, milliseconds, type OptionsOf, textMap } from '../config/option.ts';
import { METRICS_TTL_MS_DEFAULT, TTL_MS_MAX, TTL_MS_MIN } from './constants.ts';

export const monitorOptions = defineOptions('monitor', 'What peers tell each other about themselves.', {
  metricTtlMs: milliseconds({
    default: METRICS_TTL_MS_DEFAULT,
    min: TTL_MS_MIN,
    max: TTL_MS_MAX,
    says: 'how long what this peer says of itself counts; it is said twice in that time, and a peer silent for twice as long is taken for down',
  }),
  tags: textMap({ default: {}, says: 'tags of this peer, such as `region` and `zone`' }),
});

export type MonitorOptions = OptionsOf<typeof monitorOptions>;
