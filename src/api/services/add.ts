import { hash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  type AddRequest,
  type AddResponse,
  AddResponseSchema,
  type AddStart as AddStartMessage,
  AddStartSchema,
} from '../../../gen/pinfold/v1/pin_service_pb.ts';
import type { AddEntry } from '../../adder/adder.ts';
import type { AddContent, AddEvent, AddStart } from '../../cluster/add.ts';
import type { CallContext } from '../../model/call-context.ts';
import { formatCid } from '../../model/cid.ts';
import { invalidField } from '../../model/errors.ts';
import { addDataBytesMax } from '../constants.ts';
import { ackFrom, ackMessage, namespaceOf, pinMessage, pinOptionsFrom } from './convert.ts';
import { keyHash } from './pin-writes.ts';

/** Content in, what became of it out. A stream that the client cuts before its end pins nothing. */
export async function* add(
  content: AddContent,
  requests: AsyncIterable<AddRequest>,
  call: CallContext,
): AsyncIterable<AddResponse> {
  const incoming = requests[Symbol.asyncIterator]();
  const first = await incoming.next();
  if (first.done || first.value.message.case !== 'start') throw invalidField('start', 'must be the first message');
  const start = first.value.message.value;
  try {
    for await (const event of content(startFrom(start, call), inputsOf(incoming), call)) yield eventMessage(event);
  } finally {
    await incoming.return?.();
  }
}

function startFrom(start: AddStartMessage, call: CallContext): AddStart {
  const { idempotencyKey: key } = start;
  return {
    namespace: namespaceOf(start.namespace),
    options: pinOptionsFrom(start.options),
    wrapWithDirectory: start.wrapWithDirectory,
    ack: ackFrom(start.ack),
    idempotency:
      key === ''
        ? undefined
        : {
            key: keyHash('pinfold.v1.Add', key, 'start.idempotency_key', call),
            request: hash('sha256', toBinary(AddStartSchema, { ...start, ack: undefined }), 'buffer').subarray(0, 16),
          },
  };
}

/** The flat stream of messages as entries with content. An entry must be read to its end before the next is asked for. */
async function* inputsOf(incoming: AsyncIterator<AddRequest>): AsyncIterable<AddEntry> {
  let next = await incoming.next();
  while (!next.done) {
    const { message } = next.value;
    if (message.case !== 'entry') throw invalidField('entry', 'must come before its data');
    const { path, directory } = message.value;
    const content = contentOf(incoming);
    yield directory ? { path } : { path, content: content.chunks };
    next = await content.rest();
  }
}

function contentOf(incoming: AsyncIterator<AddRequest>) {
  let after: IteratorResult<AddRequest> | undefined;
  async function* chunks(): AsyncIterable<Uint8Array> {
    while (after === undefined) {
      const next = await incoming.next();
      if (next.done || next.value.message.case !== 'data') after = next;
      else yield checkedData(next.value.message.value);
    }
  }
  return {
    chunks: chunks(),
    /** What came after the data of this entry. */
    async rest(): Promise<IteratorResult<AddRequest>> {
      after ??= await incoming.next();
      if (!after.done && after.value.message.case === 'data') throw invalidField('data', 'belongs to no file');
      return after;
    },
  };
}

function checkedData(data: Uint8Array): Uint8Array {
  if (data.length <= addDataBytesMax) return data;
  throw invalidField('data', `${data.length} bytes; at most ${addDataBytesMax} a message`);
}

function eventMessage(event: AddEvent): AddResponse {
  switch (event.kind) {
    case 'progress':
      return create(AddResponseSchema, { message: { case: 'progress', value: { bytes: BigInt(event.bytes) } } });
    case 'added': {
      const { path, cid, dagBytes } = event.added;
      const value = { path, cid: formatCid(cid), size: BigInt(dagBytes) };
      return create(AddResponseSchema, { message: { case: 'node', value } });
    }
    case 'pinned': {
      const { pin, level, position, unseenBy, acknowledgedBy } = event.written;
      const value = {
        ...(pin === undefined ? {} : { pin: pinMessage(pin) }),
        level: ackMessage(level),
        position,
        unseenBy: [...unseenBy],
        acknowledgedBy: [...acknowledgedBy],
      };
      return create(AddResponseSchema, { message: { case: 'root', value } });
    }
  }
}
