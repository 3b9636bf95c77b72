import { choice, defineOptions, type OptionsOf } from '../config/option.ts';
import { logFormats, logLevels } from '../runtime/pino-logger.ts';

export const logOptions = defineOptions('log', 'What the daemon writes to standard error.', {
  level: choice(logLevels, { default: 'info', flag: 'log-level', says: 'the least important lines that are written' }),
  format: choice(logFormats, {
    default: 'auto',
    says: '`text` for people, `json` for programs; `auto`: text on a terminal, else json',
  }),
});

export type LogOptions = OptionsOf<typeof logOptions>;
