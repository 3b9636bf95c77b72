import {
  type Connector,
  ConnectorError,
  type ConnectorErrorKind,
  type HoldMode,
  type Wish,
} from '../../../src/ipfs/connector.ts';
import { byteString } from '../../../src/model/bytes.ts';
import { sleep, type Timers } from '../../../src/runtime/clock.ts';

export type Answer = { afterMs?: number; error?: ConnectorErrorKind };
export type TrackedConnector = Pick<Connector, 'id' | 'pin' | 'unpin' | 'pinned' | 'list'>;

/** An IPFS node that does what the test says, and remembers. It survives the peers that use it. */
export class ScriptedNode {
  readonly records = new Map<string, { cid: Uint8Array; mode: HoldMode }>();
  readonly calls: { kind: 'pin' | 'unpin'; cid: Uint8Array; wish: Wish | undefined }[] = [];
  isDown = false;
  /** A listing ends with an error before its last pin. */
  breaksOff = false;
  underWay = 0;
  underWayMax = 0;
  answer: (kind: 'pin' | 'unpin', cid: Uint8Array) => Answer = () => ({});
  readonly #timers: Timers;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  mode(cid: Uint8Array): HoldMode | 'none' {
    return this.records.get(byteString(cid))?.mode ?? 'none';
  }

  attempts(cid: Uint8Array, kind: 'pin' | 'unpin' = 'pin'): number {
    return this.calls.filter((call) => call.kind === kind && byteString(call.cid) === byteString(cid)).length;
  }

  /** The node as one process sees it; once `kill` is called, nothing that process does reaches the node. */
  connector(): TrackedConnector & { kill(): void } {
    const node = this;
    let isKilled = false;
    const check = () => {
      if (isKilled) throw new Error('killed');
      if (node.isDown) throw new ConnectorError('UNREACHABLE', 'connection refused');
    };
    const act = async (kind: 'pin' | 'unpin', cid: Uint8Array, signal: AbortSignal, wish?: Wish) => {
      check();
      node.calls.push({ kind, cid, wish });
      const { afterMs = 0, error } = node.answer(kind, cid);
      node.underWayMax = Math.max(node.underWayMax, ++node.underWay);
      try {
        if (afterMs > 0) await sleep(node.#timers, afterMs, signal);
        signal.throwIfAborted();
        check();
        if (error !== undefined) throw new ConnectorError(error, `scripted ${error}`);
      } finally {
        node.underWay--;
      }
    };
    return {
      kill() {
        isKilled = true;
      },
      async id() {
        check();
        return { peerId: 'node', addresses: [], agent: 'scripted/1' };
      },
      async pin(wish, { signal }) {
        await act('pin', wish.cid, signal, wish);
        node.records.set(byteString(wish.cid), { cid: wish.cid, mode: wish.mode });
      },
      async unpin(cid, { signal }) {
        await act('unpin', cid, signal);
        node.records.delete(byteString(cid));
      },
      async pinned(cid) {
        check();
        return node.mode(cid);
      },
      async *list() {
        check();
        const records = [...node.records.values()];
        if (!node.breaksOff) return yield* records;
        yield* records.slice(0, -1);
        throw new ConnectorError('FAILED', 'broken off');
      },
    };
  }
}
