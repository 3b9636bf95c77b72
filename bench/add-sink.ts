import { create } from '@bufbuild/protobuf';
import { type AddRequest, AddResponseSchema } from '../gen/pinfold/v1/pin_service_pb.ts';
import { tuneGarbageCollection } from '../src/runtime/garbage.ts';
import { servePins } from './pin-server.ts';

/*
 * A limit of the benchmark `add`: the same gRPC server with a handler that reads what is added and throws it away.
 *
 *     add-sink.ts        prints its port
 */
async function* add(requests: AsyncIterable<AddRequest>) {
  for await (const _ of requests);
  yield create(AddResponseSchema, { message: { case: 'root', value: {} } });
}

tuneGarbageCollection();
console.log(await servePins({ add }));
