import type { CID } from 'multiformats/cid';
import { formatCid, toV0, toV1 } from '../../model/cid.ts';
import type { HoldMode } from '../connector.ts';
import { WALK_BLOCKS_MAX } from '../constants.ts';
import { DigestSet } from '../dag/digest-set.ts';
import { pinLsLine, pinMode } from './answers.ts';
import { LOCKED_ANSWER_TIMEOUT_MS, V0_PINS_MAX } from './constants.ts';
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
  /** Pins of others under version 0, by their CIDs in version 1, as of the last listing that came through. Undefined: not known. */
  #v0: DigestSet | undefined;

  constructor(rpc: KuboRpc) {
    this.#rpc = rpc;
  }

  /** Both where both are pinned, the recursive one first. */
  async held(cid: CID, options: Options): Promise<HeldForm[]> {
    const found = await Promise.all(forms(cid).map((text) => this.#heldAs(text, options)));
    return found.flat().sort((one, other) => rank(one) - rank(other));
  }

  /**
   * What a recursive pin that is about to be made has to know: whether it is there, and what is there under version 0, that others
   * made. Where the last listing showed nothing of it under version 0 this is one question, and tells no direct pin.
   */
  async inTheWay(cid: CID, options: Options): Promise<HeldForm[]> {
    if (this.#v0 === undefined || this.#v0.has(cid.bytes)) return this.held(cid, options);
    const text = formatCid(cid.bytes);
    return (await this.#isPinned(text, 'recursive', options)) ? [{ text, mode: 'recursive' }] : [];
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
    const v0 = new DigestSet(V0_PINS_MAX);
    let isV0Known = true;
    for (const mode of ['recursive', 'direct'] as const) {
      for await (const cid of this.#listed(mode, options)) {
        const v1 = toV1(cid);
        if (cid.length !== v1.length) isV0Known &&= added(v0, v1) !== undefined;
        if (toV0(v1) === undefined || added(told, v1) !== false) yield { cid: v1, mode };
      }
    }
    this.#v0 = isV0Known ? v0 : undefined;
  }

  async *#listed(type: HoldMode, { signal }: Options): AsyncGenerator<Uint8Array> {
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

/** Whether it was new; undefined of a set that is full. */
function added(set: DigestSet, cid: Uint8Array): boolean | undefined {
  try {
    return set.add(cid);
  } catch {
    return undefined;
  }
}
