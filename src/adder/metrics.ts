import type { Counter, MetricsRegister } from '../runtime/metrics.ts';

export interface AdderMetrics {
  /** outcome: done, failed, aborted (also when who asked for it has gone). */
  adds: Counter<'outcome'>;
  contentBytes: Counter;
  blocks: Counter;
  blockBytes: Counter;
}

export function adderMetrics(register: MetricsRegister, state: { open(): number }): AdderMetrics {
  register.gauge({ name: 'pinfold_adder_open', help: 'Adds under way.' }, (gauge) => gauge.set(state.open()));
  return {
    adds: register.counter({
      name: 'pinfold_adder_adds_total',
      help: 'Adds that ended, by outcome: done, failed, aborted.',
      labels: ['outcome'],
    }),
    contentBytes: register.counter({
      name: 'pinfold_adder_content_bytes_total',
      help: 'Bytes of content read.',
    }),
    blocks: register.counter({
      name: 'pinfold_adder_blocks_total',
      help: 'Blocks made and stored, those included that were there already.',
    }),
    blockBytes: register.counter({
      name: 'pinfold_adder_block_bytes_total',
      help: 'Bytes of the blocks made and stored.',
    }),
  };
}
