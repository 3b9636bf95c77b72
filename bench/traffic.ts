import { type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { PeerService } from '../gen/pinfold/peer/v1/service_pb.ts';
import type { Network } from '../src/network/network.ts';

export interface Sent {
  /** Calls made, or messages published. */
  count: number;
  /** Of the messages, requests and responses, as encoded. */
  bytes: number;
}

/** What a peer makes others send and receive, by method of peer RPC or topic of gossip: counted until it is stopped. */
export class Traffic {
  readonly kinds = new Map<string, Sent>();
  readonly #undo: (() => void)[] = [];

  /** Several may be counted together. */
  count({ rpc, gossip }: Pick<Network, 'rpc' | 'gossip'>): void {
    const { call } = rpc;
    const { publish } = gossip;
    const add = (kind: string, count: number, bytes: number) => this.#add(kind, count, bytes);
    rpc.call = async function* (...args: Parameters<typeof call>) {
      const [peerId, method, requests, options] = args;
      const { input, output } = PeerService.method[method];
      add(method, 1, 0);
      for await (const response of call.call(rpc, peerId, method, counted(requests) as never, options)) {
        add(method, 0, sizeOf(output, response));
        yield response;
      }
      async function* counted(all: typeof requests) {
        for await (const request of all) {
          add(method, 0, sizeOf(input, request));
          yield request;
        }
      }
    } as typeof call;
    gossip.publish = (topic, message) => {
      add(topic, 1, message.length);
      publish.call(gossip, topic, message);
    };
    this.#undo.push(
      () => Object.assign(rpc, { call }),
      () => Object.assign(gossip, { publish }),
    );
  }

  stop(): void {
    for (const undo of this.#undo.splice(0)) undo();
  }

  #add(kind: string, count: number, bytes: number): void {
    const sent = this.kinds.get(kind) ?? { count: 0, bytes: 0 };
    this.kinds.set(kind, { count: sent.count + count, bytes: sent.bytes + bytes });
  }
}

function sizeOf(schema: DescMessage, message: unknown): number {
  return toBinary(schema, message as MessageShape<typeof schema>).length;
}
