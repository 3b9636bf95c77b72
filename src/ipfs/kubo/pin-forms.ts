import type { CID } from 'multiformats/cid';
import { formatCid, toV0, toV1 } from '../../model/cid.ts';
import type { HoldMode } from '../connector.ts';
import { WALK_BLOCKS_MAX } from '../constants.ts';
import { DigestFilter } from '../dag/digest-filter.ts';
import { DigestSet } from '../dag/digest-set.ts';
import { pinLsLine, pinMode } from './answers.ts';
import { LOCKED_ANSWER_TIMEOUT_MS } from './constants.ts';
import type { KuboRpc } from './rpc.ts';
import { isRefusal } from './rpc-error.ts';

/** A pin of Kubo's own that stands for a wish. */
export interface HeldForm {
  /** The CID as Kubo has it pinned. */
  text: string;
  mode: HoldMode;
}

interface Options {
  signal: AbortSignal;
}

/**
 * Kubo's pins by wishes. To Kubo the two versions of a CID are two pins; to the port they are one wish, which is held as
 * the better of its pins is. Pins are made under version 1, and are looked for, and removed, under both.
 */
export class PinForms {
  readonly #rpc: KuboRpc;
  /** Wishes that the last whole listing told of, and those pinned since it began. Undefined before the first. */
  #listed: DigestFilter | undefined;
  /** Those of listings that are not through. */
  readonly #listing = new Set<DigestFilter>();

  constructor(rpc: KuboRpc) {
    this.#rpc = rpc;
  }

  /** Both where both are pinned, the recursive one first. */
  async held(cid: CID, options: Options): Promise<HeldForm[]> {
    const found = await Promise.all(forms(cid).map((text) => this.#heldAs(text, options)));
    return found.flat().sort((one, other) => rank(one) - rank(other));
  }

  /**
   * To be said before it is pinned. What no listing told of need not be looked for: Kubo itself would answer a pin that is there by
   * making it anew, and of those that others have made since there are few.
   */
  willBeMade(cid: CID): { mayBeThere: boolean } {
    for (const filter of this.#listing) filter.add(cid.bytes);
    return { mayBeThere: this.#listed?.add(cid.bytes) ?? true };
  }

  async mode(cid: CID, options: Options): Promise<HoldMode | 'none'> {
    return (await this.held(cid, options))[0]?.mode ?? 'none';
  }

  async #heldAs(text: string, options: Options): Promise<HeldForm[]> {
    for (const mode of ['recursive', 'direct'] as const) {
      if (await this.#isPinned(text, mode, options)) return [{ text, mode }];
    }
    return [];
  }

  /**
   * Asked by type: of a CID that is in no pin of its own, the type `all` would make Kubo walk every DAG that it has pinned, to
   * see whether it is in one of them.
   */
  async #isPinned(text: string, type: HoldMode, { signal }: Options): Promise<boolean> {
    try {
      const query: [string, string][] = [
        ['arg', text],
        ['type', type],
      ];
      return pinMode(await this.#rpc.one({ command: 'pin/ls', query, signal })) === type;
    } catch (cause) {
      if (!isRefusal(cause, /is not pinned/)) throw cause;
      return false;
    }
  }

  async removeAll(cid: CID, options: Options): Promise<void> {
    for (const text of forms(cid)) await this.remove(text, options);
  }

  /** Of what is not pinned as well. */
  async remove(text: string, { signal }: Options): Promise<void> {
    const query: [string, string][] = [
      ['arg', text],
      ['recursive', 'true'],
    ];
    try {
      await this.#rpc.one({ command: 'pin/rm', query, signal, answerTimeoutMs: LOCKED_ANSWER_TIMEOUT_MS });
    } catch (cause) {
      if (!isRefusal(cause, /not pinned/)) throw cause;
    }
  }

  /**
   * All pins, each wish once. What is pinned in both modes comes with the recursive ones. Only what can have two forms is
   * remembered, in 16 bytes; of a node with more of them than the memory may take, a pair is told twice, which is harmless.
   */
  async *list(options: Options): AsyncGenerator<{ cid: Uint8Array; mode: HoldMode }> {
    const told = new DigestSet(WALK_BLOCKS_MAX);
    const listed = new DigestFilter();
    this.#listing.add(listed);
    try {
      for (const mode of ['recursive', 'direct'] as const) {
        for await (const cid of this.#lines(mode, options)) {
          const v1 = toV1(cid);
          listed.add(v1);
          if (toV0(v1) === undefined || isNew(told, v1)) yield { cid: v1, mode };
        }
      }
      this.#listed = listed;
    } finally {
      this.#listing.delete(listed);
    }
  }

  async *#lines(type: HoldMode, { signal }: Options): AsyncGenerator<Uint8Array> {
    const query: [string, string][] = [
      ['type', type],
      ['stream', 'true'],
    ];
    for await (const line of this.#rpc.lines({ command: 'pin/ls', query, signal })) yield pinLsLine(line).cid;
  }
}

/** The texts under which Kubo may have it, that of version 1 first. */
export function forms(cid: CID): string[] {
  const v0 = toV0(cid.bytes);
  return v0 === undefined ? [formatCid(cid.bytes)] : [formatCid(cid.bytes), formatCid(v0)];
}

function rank({ mode }: HeldForm): number {
  return mode === 'recursive' ? 0 : 1;
}

function isNew(told: DigestSet, cid: Uint8Array): boolean {
  try {
    return told.add(cid);
  } catch {
    return true;
  }
}
