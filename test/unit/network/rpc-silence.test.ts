import { create } from '@bufbuild/protobuf';
import t from 'tap';
import { WatchStatusRequestSchema, WatchStatusResponseSchema } from '../../../gen/pinfold/peer/v1/service_pb.ts';
import { RPC_ALIVE_INTERVAL_MS, RPC_SILENCE_MAX_MS } from '../../../src/network/constants.ts';
import { MemoryHub } from '../../../src/network/memory/memory-hub.ts';
import { memoryNetwork } from '../../../src/network/memory/memory-network.ts';
import type { Clock, Timers } from '../../../src/runtime/clock.ts';
import { silentLogger } from '../../../src/runtime/logger.ts';
import { noMetrics } from '../../../src/runtime/metrics.ts';
import { codeOf, eventually, everyone, forever, handlers, startAll } from '../../suites/network.suite.ts';

/** Time that passes when the test says so. */
function manualTime() {
  let nowMs = 0;
  let waiting: { atMs: number; fn(): void }[] = [];
  const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs };
  const timers: Timers = {
    after(delayMs, fn) {
      const entry = { atMs: nowMs + delayMs, fn };
      waiting.push(entry);
      const cancel = () => {
        waiting = waiting.filter((other) => other !== entry);
      };
      return { cancel };
    },
  };
  const pass = async (ms: number) => {
    const untilMs = nowMs + ms;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const [next] = waiting.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      waiting = waiting.filter((other) => other !== next);
      nowMs = next.atMs;
      next.fn();
    }
    nowMs = untilMs;
  };
  return { clock, timers, pass };
}

t.test('a quiet call lives for as long as its callee does, and no longer', async (t) => {
  const caller = manualTime();
  const callee = manualTime();
  const hub = new MemoryHub(
    {},
    { timers: caller.timers, random: { bytes: (n) => new Uint8Array(n), float: () => 0.5 } },
  );
  const needs = { hub, policy: everyone, logger: silentLogger, metrics: noMetrics };
  const a = memoryNetwork({ peerId: 'a' }, { ...needs, ...caller });
  const b = memoryNetwork({ peerId: 'b' }, { ...needs, ...callee });
  let finish: (() => void) | undefined;
  b.rpc.serve(
    handlers({
      async *watchStatus(_, { signal }) {
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        finish = resolve;
        signal.addEventListener('abort', () => reject(signal.reason));
        await promise;
        yield create(WatchStatusResponseSchema, { revision: 5n });
      },
    }),
  );
  await startAll(t, [a, b]);
  a.remember('b', b.addresses());
  const watch = () => a.rpc.call('b', 'watchStatus', [create(WatchStatusRequestSchema)], { signal: forever() });

  const first = watch()[Symbol.asyncIterator]().next();
  await eventually('it is served', () => finish !== undefined);
  for (let passedMs = 0; passedMs < 5 * RPC_SILENCE_MAX_MS; passedMs += RPC_ALIVE_INTERVAL_MS) {
    await callee.pass(RPC_ALIVE_INTERVAL_MS);
    await caller.pass(RPC_ALIVE_INTERVAL_MS);
  }
  finish?.();
  t.match(await first, { value: { revision: 5n } });

  finish = undefined;
  const second = codeOf(watch()[Symbol.asyncIterator]().next());
  await eventually('it is served', () => finish !== undefined);
  await caller.pass(2 * RPC_SILENCE_MAX_MS);
  t.equal(await second, 'PEER_UNREACHABLE', 'the time of the callee stood still');
});
