import { create } from '@bufbuild/protobuf';
import {
  type GetBlocksRequest,
  type GetBlocksResponse,
  GetBlocksResponseSchema,
} from '../../../gen/pinfold/peer/v1/blocks_pb.ts';
import type { Connector } from '../../ipfs/connector.ts';
import { nodeError } from '../../ipfs/node-error.ts';
import { checkCid } from '../../model/cid.ts';
import { invalidField } from '../../model/errors.ts';
import type { PeerRpcHandlers } from '../../network/peer-methods.ts';
import { BoundedQueue } from '../../runtime/bounded-queue.ts';
import { BLOCKS_ASKED_MAX, BLOCKS_READ_AHEAD_MAX } from './constants.ts';

export interface GetBlocksNeeds {
  connector: Pick<Connector, 'getBlock'>;
}

/** Hands out blocks of the own node to members. Never fetches. */
export function getBlocksHandlers({ connector }: GetBlocksNeeds): Pick<PeerRpcHandlers, 'getBlocks'> {
  async function answerTo(cid: Uint8Array, signal: AbortSignal): Promise<GetBlocksResponse> {
    try {
      const data = await connector.getBlock(cid, { signal });
      return create(GetBlocksResponseSchema, data === undefined ? {} : { data: data as Uint8Array<ArrayBuffer> });
    } catch (cause) {
      throw nodeError(cause);
    }
  }

  return {
    async *getBlocks(requests, { signal }) {
      const answers = new BoundedQueue<Promise<GetBlocksResponse>>({ limit: BLOCKS_READ_AHEAD_MAX });
      const reading = readAhead(requests, (cid) => answerTo(cid, signal), answers);
      reading.catch(() => {});
      for await (const answer of answers) yield await answer;
      // When the queue has ended by itself: what came after the last answer may have been wrong.
      await reading;
    },
  };
}

/** What is wrong with a request comes after the answers to those before it. */
async function readAhead(
  requests: AsyncIterable<GetBlocksRequest>,
  answer: (cid: Uint8Array) => Promise<GetBlocksResponse>,
  answers: BoundedQueue<Promise<GetBlocksResponse>>,
): Promise<void> {
  try {
    for await (const { cids } of requests) {
      checkRequest(cids);
      for (const cid of cids) {
        const answered = answer(cid);
        answered.catch(() => {});
        if (!(await answers.push(answered))) return;
      }
    }
  } finally {
    answers.close();
  }
}

function checkRequest(cids: readonly Uint8Array[]): void {
  if (cids.length > BLOCKS_ASKED_MAX) {
    throw invalidField('cids', `${cids.length} CIDs; at most ${BLOCKS_ASKED_MAX} are allowed`);
  }
  for (const cid of cids) checkCid(cid, 'cids');
}
