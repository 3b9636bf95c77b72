import { deadlineSignal } from '../../runtime/abort.ts';
import type { Timers } from '../../runtime/clock.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { CallOptions } from '../connector.ts';
import { CONNECT_TIMEOUT_MS, DIALS_IN_FLIGHT_MAX, SOURCE_ADDRESSES_MAX, SOURCES_MAX } from '../constants.ts';
import { forEachLimited } from '../for-each-limited.ts';
import { DialTurns, parsedAddress, sourcesByPeer } from '../sources.ts';
import type { KuboRpc } from './rpc.ts';

/** Has the node connect to others. One that is connected already costs nothing. */
export class Dialler {
  readonly #needs: { rpc: KuboRpc; timers: Timers; logger: Logger };
  readonly #turns = new DialTurns();

  constructor(needs: { rpc: KuboRpc; timers: Timers; logger: Logger }) {
    this.#needs = needs;
  }

  /** Resolves when tried; rejects only by abort. */
  async connect(addresses: readonly string[], options: CallOptions): Promise<void> {
    options.signal.throwIfAborted();
    const sources = this.#turns.take([...sourcesByPeer(addresses)], SOURCES_MAX);
    await forEachLimited(sources, DIALS_IN_FLIGHT_MAX, ([peerId, list]) => this.#dial(peerId, list, options));
  }

  async #dial(peerId: string, addresses: readonly string[], options: CallOptions): Promise<void> {
    const { rpc, timers, logger } = this.#needs;
    using scope = deadlineSignal(timers, CONNECT_TIMEOUT_MS, options.signal);
    const usable = addresses.slice(0, SOURCE_ADDRESSES_MAX).flatMap(parsedAddress);
    if (usable.length === 0) return;
    const query = usable.map((address): [string, string] => ['arg', `${address}`]);
    try {
      await rpc.one({ command: 'swarm/connect', query, signal: scope.signal });
    } catch (cause) {
      options.signal.throwIfAborted();
      logger.debug('source not reached', { peerId, cause });
    }
  }
}
