import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { WriteOperationSchema } from '../../gen/pinfold/v1/pin_service_pb.ts';
import type { LocalPeer } from '../../scripts/local-cluster.ts';
import { type BulkResult, writeInBulk } from '../../src/cli/bulk.ts';

type Operation = MessageInitShape<typeof WriteOperationSchema>;

/** Writes all through WritePins; throws when one is refused. */
export async function writeAll(peer: LocalPeer, operations: readonly Operation[]): Promise<void> {
  async function* source() {
    for (const operation of operations) yield { cid: '', operation: create(WriteOperationSchema, operation) };
  }
  const refused: BulkResult[] = [];
  let done = 0;
  for await (const result of writeInBulk(peer.clients, source())) {
    done++;
    if (result.failure !== undefined) refused.push(result);
  }
  if (refused.length > 0) throw new Error(`${refused.length} operations refused: ${JSON.stringify(refused[0])}`);
  if (done !== operations.length) throw new Error(`${done} of ${operations.length} operations were answered`);
}
