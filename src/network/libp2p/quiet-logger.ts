import type { ComponentLogger, Logger } from '@libp2p/interface';

const quiet: Logger = Object.assign(() => {}, {
  error: () => {},
  trace: () => {},
  enabled: false,
  newScope: () => quiet,
});

/** libp2p's own lines have raw text from the network and no levels for operators: what matters, we log ourselves. */
export const quietLogger: ComponentLogger = { forComponent: () => quiet };
