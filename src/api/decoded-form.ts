import { type DescMessage, fromBinary } from '@bufbuild/protobuf';
import { WritePinsRequestSchema } from '../../gen/pinfold/v1/pin_service_pb.ts';
import { readWritePinsRequest } from './write-pins-request.ts';

/** Messages read by hand in their usual forms, equal to what the generated code makes of them. */
const readers = new Map<string, (bytes: Uint8Array) => unknown>([
  [WritePinsRequestSchema.typeName, readWritePinsRequest],
]);

/** The message in the bytes. Throws what the generated code throws. */
export function decodedForm(desc: DescMessage, bytes: Uint8Array): unknown {
  return readers.get(desc.typeName)?.(bytes) ?? fromBinary(desc, bytes);
}
