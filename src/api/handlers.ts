import type { DescMessage, DescMethod, DescService, MessageShape } from '@bufbuild/protobuf';
import type { CallContext } from '../model/call-context.ts';

/** The one way in which services are written; each door mounts the same handlers. */
export type Handlers<S extends DescService> = { [M in keyof S['method']]: Handler<S['method'][M]> };

type Handler<M> = M extends {
  methodKind: infer K;
  input: infer I extends DescMessage;
  output: infer O extends DescMessage;
}
  ? K extends 'unary'
    ? (request: MessageShape<I>, call: CallContext) => Promise<MessageShape<O>>
    : K extends 'server_streaming'
      ? (request: MessageShape<I>, call: CallContext) => AsyncIterable<MessageShape<O>>
      : K extends 'bidi_streaming'
        ? (requests: AsyncIterable<MessageShape<I>>, call: CallContext) => AsyncIterable<MessageShape<O>>
        : never
  : never;

/** A service with its handlers, its types forgotten, as the doors take it. */
export interface Mounted {
  service: DescService;
  methods: readonly MountedMethod[];
}

// biome-ignore format: one line a kind
export type MountedMethod =
  | { kind: 'unary'; desc: DescMethod; handle: (request: unknown, call: CallContext) => Promise<unknown> }
  | { kind: 'server_streaming'; desc: DescMethod; handle: (request: unknown, call: CallContext) => AsyncIterable<unknown> }
  | { kind: 'bidi_streaming'; desc: DescMethod; handle: (requests: AsyncIterable<unknown>, call: CallContext) => AsyncIterable<unknown> };

export function mount<S extends DescService>(service: S, handlers: Handlers<S>): Mounted {
  const byName = handlers as Record<string, unknown>;
  return {
    service,
    methods: service.methods.map(
      (desc) => ({ kind: desc.methodKind, desc, handle: byName[desc.localName] }) as MountedMethod,
    ),
  };
}
