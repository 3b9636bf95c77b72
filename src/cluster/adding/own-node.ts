import type { Block, CallOptions, Connector } from '../../ipfs/connector.ts';
import { nodeError } from '../../ipfs/node-error.ts';
import type { Destination, Sent } from './destinations.ts';

export interface OwnNodeNeeds {
  peerId: string;
  connector: Pick<Connector, 'missingBlocks' | 'putBlocks' | 'protect'>;
  /** Resolves when the node here is done with these, or will not be soon; never rejects. CIDs in version 1. */
  held: (cids: readonly Uint8Array[]) => Promise<void>;
}

/** This peer's own node as a destination, of blocks that were made or checked here. */
export function ownNode({ peerId, connector, held }: OwnNodeNeeds): Destination {
  const protection = connector.protect();
  let isPinned = false;
  return {
    peerId,
    put: (blocks, options) => putMissing(connector, blocks, options),
    prepare: async () => {},
    pinned(cids) {
      isPinned = true;
      void held(cids).then(() => protection.release());
    },
    release() {
      if (!isPinned) protection.release();
    },
  };
}

async function putMissing(
  connector: OwnNodeNeeds['connector'],
  blocks: readonly Block[],
  options: CallOptions,
): Promise<Sent> {
  try {
    const missing = new Set(
      await connector.missingBlocks(
        blocks.map(({ cid }) => cid),
        options,
      ),
    );
    const put = blocks.filter(({ cid }) => missing.has(cid));
    if (put.length > 0) await connector.putBlocks(put, { ...options, areChecked: true });
    return { blocks: put.length, bytes: put.reduce((sum, { bytes }) => sum + bytes.length, 0) };
  } catch (cause) {
    throw nodeError(cause);
  }
}
