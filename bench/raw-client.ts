import { once } from 'node:events';
import { Client, type ClientDuplexStream, type ClientReadableStream, credentials } from '@grpc/grpc-js';

type Bytes = Uint8Array;

const asBuffer = (bytes: Bytes): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const asBytes = (bytes: Buffer): Bytes => bytes;

/** A client of PinService whose messages are bytes: encoding and decoding must not be what is measured. */
export class RawClient {
  readonly #client: Client;

  constructor(host: string) {
    this.#client = new Client(host, credentials.createInsecure(), { 'grpc.max_receive_message_length': 8 * 1024 ** 2 });
  }

  unary(method: string, request: Bytes): Promise<Bytes> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(path(method), asBuffer, asBytes, request, (error, response) => {
        if (error === null) resolve(response as Bytes);
        else reject(error);
      });
    });
  }

  reads(method: string, request: Bytes): ClientReadableStream<Bytes> {
    return this.#client.makeServerStreamRequest(path(method), asBuffer, asBytes, request);
  }

  both(method: string): ClientDuplexStream<Bytes, Bytes> {
    return this.#client.makeBidiStreamRequest(path(method), asBuffer, asBytes);
  }

  close(): void {
    this.#client.close();
  }
}

/** Writes and waits where the stream is full. */
export async function send(call: ClientDuplexStream<Bytes, Bytes>, message: Bytes): Promise<void> {
  if (!call.write(message)) await once(call, 'drain');
}

/** How many fields with that number a message has; `isCounted` looks at where the field's content begins. */
export function countFields(bytes: Bytes, number: number, isCounted = (_at: number) => true): number {
  let count = 0;
  eachField(bytes, number, (from) => {
    if (isCounted(from)) count++;
  });
  return count;
}

/** Content of the last field with that number, which is bytes; none: empty. */
export function bytesField(bytes: Bytes, number: number): Bytes {
  let content: Bytes = new Uint8Array();
  eachField(bytes, number, (from, to) => {
    content = bytes.slice(from, to);
  });
  return content;
}

/** Calls back with where the content of each field with that number is; of a number: where it has ended. */
function eachField(bytes: Bytes, number: number, found: (from: number, to: number) => void): void {
  for (let at = 0; at < bytes.length; ) {
    const tag = varint(bytes, at);
    const content = varint(bytes, tag.end);
    const isBytes = (tag.value & 7) === 2;
    at = isBytes ? content.end + content.value : content.end;
    if (tag.value >>> 3 === number) found(content.end, at);
  }
}

function varint(bytes: Bytes, from: number): { value: number; end: number } {
  let value = 0;
  let factor = 1;
  for (let at = from; ; at++) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * factor;
    factor *= 128;
    if (byte < 0x80) return { value, end: at + 1 };
  }
}

const path = (method: string): string => `/pinfold.v1.PinService/${method}`;
