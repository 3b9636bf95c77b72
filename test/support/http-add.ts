import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { create, fromBinary, type MessageInitShape, toBinary, toJsonString } from '@bufbuild/protobuf';
import { AddRequestSchema, type AddResponse, AddResponseSchema } from '../../gen/pinfold/v1/pin_service_pb.ts';
import type { LocalPeer } from '../../scripts/local-cluster.ts';

export type AddMessage = NonNullable<MessageInitShape<typeof AddRequestSchema>['message']>;

export const start: AddMessage = { case: 'start', value: {} };
export const entry = (path: string): AddMessage => ({ case: 'entry', value: { path } });
export const data = (value: Uint8Array<ArrayBuffer>): AddMessage => ({ case: 'data', value });

/** A message as it stands in a stream: a byte of flags, four of its length, and itself. */
export function envelope(bytes: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(5, flags);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

export const inProto = (message: AddMessage) =>
  envelope(toBinary(AddRequestSchema, create(AddRequestSchema, { message })));
export const inJson = (message: AddMessage) =>
  envelope(Buffer.from(toJsonString(AddRequestSchema, create(AddRequestSchema, { message }))));

export function* envelopesOf(bytes: Buffer): Generator<{ flags: number; bytes: Buffer }> {
  for (let at = 0; at < bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    yield { flags: bytes[at] as number, bytes: bytes.subarray(at + 5, end) };
    at = end;
  }
}

/** An answer in `application/connect+proto`: its messages, and what its end says. */
export function answerInProto(bytes: Buffer): {
  messages: AddResponse['message'][];
  end: { error?: { code: string } };
} {
  const all = [...envelopesOf(bytes)];
  return {
    messages: all.slice(0, -1).map((each) => fromBinary(AddResponseSchema, each.bytes).message),
    end: JSON.parse(String(all.at(-1)?.bytes)),
  };
}

/** A request to `Add` that is being sent, and what has been answered so far. */
export class HttpAdd {
  readonly request: ClientRequest;
  /** Of the body, so far. */
  readonly answered: Buffer[] = [];
  /** The head of the answer, which may be there before the request has ended. */
  readonly head: Promise<IncomingMessage>;

  constructor(peer: LocalPeer, type: string, headers: Record<string, string> = {}) {
    this.request = request(`http://${peer.httpHost}/pinfold.v1.PinService/Add`, {
      method: 'POST',
      headers: { 'content-type': type, ...headers },
    });
    this.request.on('error', () => {}); // Of a request that the test cuts.
    this.head = once(this.request, 'response').then(([head]) => {
      head.on('data', (chunk: Buffer) => this.answered.push(chunk)).on('error', () => {});
      return head;
    });
    this.head.catch(() => {});
  }

  async send(...envelopes: readonly Uint8Array[]): Promise<void> {
    for (const each of envelopes) if (!this.request.write(each)) await once(this.request, 'drain');
  }

  /** Ends the request, and resolves with the whole answer. */
  async end(): Promise<Buffer> {
    this.request.end();
    const head = await this.head;
    if (!head.readableEnded) await once(head, 'end');
    return Buffer.concat(this.answered);
  }
}

/** A sample of the peer's metrics; 0 when there is none yet. */
export async function metricOf(peer: LocalPeer, sample: string): Promise<number> {
  const text = await (await fetch(`http://${peer.metricsHost}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${sample} `));
  return Number(line?.slice(sample.length + 1) ?? 0);
}

export const addsUnderWay = (peer: LocalPeer) => metricOf(peer, 'pinfold_adder_open');
export const contentBytesOf = (peer: LocalPeer) => metricOf(peer, 'pinfold_adder_content_bytes_total');
