import type { Logger } from '../../../src/runtime/logger.ts';
import type { SimProcess } from './sim-process.ts';
import { Violation } from './violation.ts';
import type { World } from './world.ts';

/** Said of a failure that nobody caused: a defect. */
const defects = [
  'a batch could not be built',
  'batches of others could not be applied',
  'a batch could not be looked at',
  'joining failed',
  'expired pins are no longer removed',
  'the tracker stopped: its store failed, or there is a defect',
];

/** Logs into the trace, when that is asked for; a message that speaks of a defect ends the world. */
export function processLogger(world: World, process: SimProcess): Logger {
  const write = (level: string) => (message: string, data?: Record<string, unknown>) => {
    if (process.isDead) return;
    if (world.options.isLogKept)
      world.trace.note(world.time.nowMs, `${process.name} ${level} ${message} ${shown(data)}`);
    if (level === 'error' && defects.includes(message) && !process.disk.hasFailed && !isForDamage(data)) {
      world.fail(new Violation('DEFECT', `${process.name} says: ${message} ${shown(data)}`));
    }
  };
  // A row that cannot be read keeps out what is to be written over it.
  const isForDamage = (data: Record<string, unknown> | undefined) =>
    !world.damages.of(process.machine.name).isWhole && / is damaged /.test(shown(data));
  const logger: Logger = {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
    trace: write('trace'),
    child: () => logger,
  };
  return logger;
}

function shown(data: Record<string, unknown> | undefined): string {
  if (data === undefined) return '';
  return JSON.stringify(data, (_, value) => (value instanceof Error ? `${value.name}: ${value.message}` : value));
}
