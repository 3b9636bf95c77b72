import { create } from '@bufbuild/protobuf';
import t from 'tap';
import { GetStatusesRequestSchema, GetStatusesResponseSchema } from '../../../gen/pinfold/peer/v1/service_pb.ts';
import { answerOf } from '../../../src/cluster/peer-calls.ts';
import type { PeerRpc } from '../../../src/network/network.ts';

t.test('a call is read to its end: one that is left after the answer costs the stream it came on', async (t) => {
  let isRead = false;
  const call: PeerRpc['call'] = async function* () {
    yield create(GetStatusesResponseSchema) as never;
    isRead = true;
  };
  const request = create(GetStatusesRequestSchema);
  const answer = await answerOf({ call }, 'a peer', 'getStatuses', request, new AbortController().signal);
  t.same(answer.rows, []);
  t.ok(isRead, 'the trailer was asked for');
});
