import { raceSignal } from '../../runtime/abort.ts';
import type { ReadBlock } from './block-calls.ts';
import { IMPORTED_BLOCKS_MIN, IMPORTED_BYTES_MIN } from './constants.ts';

/**
 * Kubo tells its own fetches, and nodes that wait for them, of blocks that are put, and not of those that are imported: who waits for such a
 * block would go on waiting. So blocks are imported only while nothing is fetched here, and what begins to fetch waits for the end of the
 * imports.
 */
export class UnheardBlocks {
  readonly #imports = new Set<Promise<unknown>>();
  #fetches = 0;

  async fetching<T>(signal: AbortSignal, fetch: () => Promise<T>): Promise<T> {
    this.#fetches++;
    try {
      await raceSignal(Promise.allSettled(this.#imports), signal);
      return await fetch();
    } finally {
      this.#fetches--;
    }
  }

  /** Imports the blocks of one request, or puts them. The last one is put in any case: of a DAG that is added it is the root. */
  async put(
    blocks: readonly ReadBlock[],
    call: (how: 'put' | 'import', blocks: readonly ReadBlock[]) => Promise<void>,
  ): Promise<void> {
    if (this.#fetches > 0 || !isWorthImporting(blocks)) return await call('put', blocks);
    const importing = call('import', blocks.slice(0, -1)).finally(() => this.#imports.delete(importing));
    this.#imports.add(importing);
    await importing;
    await call('put', blocks.slice(-1));
  }
}

/** A call more costs less than it gains. */
function isWorthImporting(blocks: readonly ReadBlock[]): boolean {
  const bytes = blocks.reduce((sum, { bytes }) => sum + bytes.length, 0);
  return blocks.length > 1 && (blocks.length >= IMPORTED_BLOCKS_MIN || bytes >= IMPORTED_BYTES_MIN);
}
