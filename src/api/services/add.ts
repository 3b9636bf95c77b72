import { hash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  type AddProgress,
  AddProgressSchema,
  type AddRequest,
  type AddResponse,
  AddResponseSchema,
  type AddStart as AddStartMessage,
  AddStartSchema,
  ContentFormat,
  type ImportOptions as ImportOptionsMessage,
} from '../../../gen/pinfold/v1/pin_service_pb.ts';
import type { AddEntry } from '../../adder/adder.ts';
import type { ImportOptions } from '../../adder/import-options.ts';
import type { AddContent, AddEvent, AddedContent, AddStart } from '../../cluster/adding/add.ts';
import type { CallContext } from '../../model/call-context.ts';
import { formatCid } from '../../model/cid.ts';
import { invalidField } from '../../model/errors.ts';
import { raceSignal } from '../../runtime/abort.ts';
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
  try {
    const first = await raceSignal(incoming.next(), call.signal);
    if (first.done || first.value.message.case !== 'start') throw invalidField('start', 'must be the first message');
    const start = first.value.message.value;
    const added = contentFrom(start, incoming);
    for await (const event of content(startFrom(start, call), added, call)) yield eventMessage(event);
  } finally {
    // Not waited for: who sends nothing more and does not end either would never be told what went wrong.
    incoming.return?.()?.catch(() => {});
  }
}

function startFrom(start: AddStartMessage, call: CallContext): AddStart {
  const { idempotencyKey: key } = start;
  return {
    namespace: namespaceOf(start.namespace),
    options: pinOptionsFrom(start.options),
    local: start.local,
    quiet: start.quiet,
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

function contentFrom(start: AddStartMessage, incoming: AsyncIterator<AddRequest>): AddedContent {
  const { format, wrapWithDirectory } = start;
  switch (format) {
    case ContentFormat.UNSPECIFIED:
      return {
        ...{ kind: 'files', entries: entriesOf(incoming), wrapWithDirectory },
        import: importOptionsFrom(start.import),
      };
    case ContentFormat.CAR:
      if (wrapWithDirectory)
        throw invalidField('start.wrap_with_directory', 'the roots of a CAR are pinned as they are');
      if (start.import !== undefined) throw invalidField('start.import', 'the blocks of a CAR are taken as they are');
      return { kind: 'car', bytes: carOf(incoming) };
    default:
      throw invalidField('start.format', `${format} is not known here`);
  }
}

/** What is not set is left to the profile. */
function importOptionsFrom(message: ImportOptionsMessage | undefined): ImportOptions {
  if (message === undefined) return {};
  const { $typeName: _, $unknown: __, hamtThresholdBytes, ...options } = message;
  return {
    ...options,
    ...(hamtThresholdBytes === undefined ? {} : { hamtThresholdBytes: Number(hamtThresholdBytes) }),
  };
}

async function* carOf(incoming: AsyncIterator<AddRequest>): AsyncGenerator<Uint8Array> {
  for (let next = await incoming.next(); !next.done; next = await incoming.next()) {
    const { message } = next.value;
    if (message.case !== 'data') throw invalidField('data', 'a CAR has data only');
    yield checkedData(message.value);
  }
}

/** The flat stream of messages as entries with content. An entry must be read to its end before the next is asked for. */
async function* entriesOf(incoming: AsyncIterator<AddRequest>): AsyncGenerator<AddEntry> {
  let next = await incoming.next();
  while (!next.done) {
    const { message } = next.value;
    if (message.case !== 'entry') throw invalidField('entry', 'must come before its data');
    const { path, directory, symlink, mode, mtime } = message.value;
    const whole = message.value.content;
    if ([directory, symlink !== undefined, whole !== undefined].filter(Boolean).length > 1) {
      throw invalidField('entry', `"${path}" can be one of a directory, a link and a file`);
    }
    const content = contentOf(incoming);
    const isFile = !directory && symlink === undefined;
    yield {
      path,
      ...(mode === undefined ? {} : { mode }),
      ...(mtime === undefined ? {} : { mtime: { secs: mtime.seconds, nsecs: mtime.nanoseconds } }),
      ...(symlink === undefined ? {} : { symlink }),
      ...(isFile ? { content: whole === undefined ? content.chunks : only(checkedData(whole)) } : {}),
    };
    next = await content.rest();
  }
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
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
      return create(AddResponseSchema, { message: { case: 'progress', value: progressMessage(event) } });
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

function progressMessage({ bytes, blocks, destinations }: AddEvent & { kind: 'progress' }): AddProgress {
  return create(AddProgressSchema, {
    bytes: BigInt(bytes),
    blocks: BigInt(blocks),
    destinations: destinations.map(({ peerId, error, ...sofar }) => ({
      peerId,
      blocks: BigInt(sofar.blocks),
      bytes: BigInt(sofar.bytes),
      sentBlocks: BigInt(sofar.sentBlocks),
      sentBytes: BigInt(sofar.sentBytes),
      error: error?.message ?? '',
    })),
  });
}
