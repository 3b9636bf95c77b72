import type { CID } from 'multiformats/cid';
import type { Connector } from '../../ipfs/connector.ts';
import { checkBlock, checkHashable, IDENTITY_CODE } from '../../ipfs/dag/hashers.ts';
import type { LoadBlock } from '../../ipfs/dag/resolve-path.ts';
import { nodeError } from '../../ipfs/node-error.ts';
import { formatCid } from '../../model/cid.ts';
import { isPinfoldError, PinfoldError } from '../../model/errors.ts';
import { raceSignal } from '../../runtime/abort.ts';
import { sleep, type Timers } from '../../runtime/clock.ts';
import type { BlockSource } from './block-source.ts';
import { SOURCE_FAILURES_MAX, SOURCE_RETRY_PAUSE_MS, SOURCES_NAMED_MAX } from './constants.ts';

export interface BlockReaderInit {
  /** In the order in which they are to be asked. */
  sources: readonly BlockSource[];
  signal: AbortSignal;
}

type Found = { bytes: Uint8Array } | { lacks: string } | { failed: string };

/** Blocks from whoever has them, each checked against its CID. */
export class BlockReader {
  readonly #sources: readonly BlockSource[];
  readonly #signal: AbortSignal;
  readonly #timers: Timers;
  /** They gave out something else than what was asked for. */
  readonly #liars = new Set<BlockSource>();

  constructor({ sources, signal }: BlockReaderInit, { timers }: { timers: Timers }) {
    this.#sources = sources;
    this.#signal = signal;
    this.#timers = timers;
  }

  /**
   * Asks one source after the other. Rejects with INVALID_DAG for a hash function that is not known, IPFS_FAILED when nobody has the
   * block, or the signal's reason.
   */
  readonly get: LoadBlock = async (cid) => {
    if (cid.multihash.code === IDENTITY_CODE) return cid.multihash.digest;
    checkHashable(cid);
    const words = new Map<BlockSource, string>();
    let again = this.#sources;
    for (let round = 0; round < 2 && again.length > 0; round++) {
      if (round > 0) await sleep(this.#timers, SOURCE_RETRY_PAUSE_MS, this.#signal);
      const failed: BlockSource[] = [];
      for (const source of steadiestFirst(again)) {
        if (this.#isGivenUp(source)) continue;
        const found = await this.#ask(source, cid);
        if ('bytes' in found) return found.bytes;
        words.set(source, 'lacks' in found ? found.lacks : found.failed);
        if ('failed' in found) failed.push(source);
      }
      again = failed.filter((source) => !this.#isGivenUp(source));
    }
    throw this.#nobody(cid, words);
  };

  async #ask(source: BlockSource, cid: CID): Promise<Found> {
    let bytes: Uint8Array | undefined;
    try {
      bytes = await source.get(cid);
    } catch (cause) {
      this.#signal.throwIfAborted();
      return { failed: isPinfoldError(cause) ? cause.message : String(cause) };
    }
    if (bytes === undefined) return { lacks: 'does not have it' };
    try {
      checkBlock(cid, bytes);
      return { bytes };
    } catch {
      this.#liars.add(source);
      return { lacks: 'gave out other bytes' };
    }
  }

  #isGivenUp(source: BlockSource): boolean {
    return this.#liars.has(source) || source.failures >= SOURCE_FAILURES_MAX;
  }

  #nobody(cid: CID, words: ReadonlyMap<BlockSource, string>): PinfoldError {
    const asked = [...words].map(([{ name }, word]) => `${name} ${word}`);
    for (const source of this.#sources) if (!words.has(source)) asked.push(`${source.name} was given up before`);
    const more = asked.length - SOURCES_NAMED_MAX;
    const shown = asked.slice(0, SOURCES_NAMED_MAX).join('; ');
    const text = formatCid(cid.bytes);
    return new PinfoldError(
      'IPFS_FAILED',
      `nobody who should have the block ${text} gives it out: ${shown}${more > 0 ? `; and ${more} more` : ''}`,
      { facts: { cid: text } },
    );
  }
}

/** Those that failed last come after the others, which stay in their order. */
function steadiestFirst(sources: readonly BlockSource[]): BlockSource[] {
  return sources.toSorted((a, b) => Math.sign(a.failures) - Math.sign(b.failures));
}

/** The IPFS node of this peer as a source. */
export function ownBlocks(connector: Pick<Connector, 'getBlock'>, signal: AbortSignal): BlockSource {
  let failures = 0;
  return {
    name: 'the IPFS node here',
    get failures() {
      return failures;
    },
    async get(cid) {
      try {
        const bytes = await raceSignal(connector.getBlock(cid.bytes, { signal }), signal);
        failures = 0;
        return bytes;
      } catch (cause) {
        failures++;
        throw nodeError(cause);
      }
    },
  };
}
