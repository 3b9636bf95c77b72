import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { PeerService } from '../../gen/pinfold/peer/v1/service_pb.ts';
import { encodedForm } from '../model/encoded-form.ts';
import type { PeerMethod, PeerRpcRequests, PeerRpcResponses } from './peer-methods.ts';
import { peerMethods } from './peer-methods.ts';

/** `decode` may keep views of the bytes it is given: they are the message's own. It throws at what it cannot read. */
export interface Codec<T> {
  encode(message: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** How the messages of each method become bytes. Hot ones may be coded by hand, equal on the wire. */
export type PeerCodecs = {
  readonly [M in PeerMethod]: {
    readonly request: Codec<PeerRpcRequests[M]>;
    readonly response: Codec<PeerRpcResponses[M]>;
  };
};

/** The generated code for every method but those in `byHand`. */
export function peerCodecs(byHand: Partial<PeerCodecs> = {}): PeerCodecs {
  const generated = Object.fromEntries(
    (Object.keys(peerMethods) as PeerMethod[]).map((method) => {
      const { input, output } = PeerService.method[method];
      return [method, { request: generatedCodec(input), response: generatedCodec(output) }];
    }),
  );
  return { ...(generated as unknown as PeerCodecs), ...byHand };
}

export function generatedCodec<S extends DescMessage>(schema: S): Codec<MessageShape<S>> {
  return {
    encode: (message) => encodedForm(message) ?? toBinary(schema, message),
    decode: (bytes) => fromBinary(schema, bytes),
  };
}
