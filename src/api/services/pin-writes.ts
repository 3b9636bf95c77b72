import { createHash, hash } from 'node:crypto';
import { create, type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf';
import {
  type PinRequest,
  PinRequestSchema,
  PinResponseSchema,
  type ReplacePinRequest,
  ReplacePinRequestSchema,
  ReplacePinResponseSchema,
  type UnpinRequest,
  UnpinRequestSchema,
  UnpinResponseSchema,
  type WaitLevelRequest,
  WaitLevelResponseSchema,
} from '../../../gen/pinfold/v1/pin_service_pb.ts';
import type { Pins, PinWrite, WriteOptions, Written } from '../../cluster/pins.ts';
import type { Resolving } from '../../cluster/resolving.ts';
import type { CallContext } from '../../model/call-context.ts';
import { parseCid } from '../../model/cid.ts';
import { invalidField } from '../../model/errors.ts';
import { keyBytesMax } from '../constants.ts';
import { ackFrom, ackMessage, conditionFrom, msOf, namespaceOf, pinMessage, pinOptionsFrom } from './convert.ts';

/** The unary writes of PinService. */
export function pinWrites(pins: Pins, resolving: Pick<Resolving, 'block'>) {
  async function pinnedCid(
    { cid, path }: PinRequest,
    write: Omit<PinWrite, 'cid'>,
    { ack }: WriteOptions,
    call: CallContext,
  ): Promise<Uint8Array> {
    if (path === '') return parseCid(cid);
    if (cid !== '') throw invalidField('path', 'stands beside `cid`: say one of them');
    // For who may not pin nothing is followed and fetched.
    pins.check(write, ack, call);
    return resolving.block({ path, origins: write.options.origins }, call);
  }

  return {
    async pin(request: PinRequest, call: CallContext) {
      const write = {
        kind: 'pin' as const,
        namespace: namespaceOf(request.namespace),
        options: pinOptionsFrom(request.options),
        condition: conditionFrom(request.condition),
      };
      const options = writeOptions(PinRequestSchema, request, call);
      const cid = await pinnedCid(request, write, options, call);
      return create(PinResponseSchema, writtenMessage(await pins.pin({ ...write, cid }, options, call)));
    },

    async unpin(request: UnpinRequest, call: CallContext) {
      const write = {
        kind: 'unpin' as const,
        cid: parseCid(request.cid),
        namespace: namespaceOf(request.namespace),
        condition: conditionFrom(request.condition),
      };
      const options = writeOptions(UnpinRequestSchema, request, call);
      return create(UnpinResponseSchema, writtenMessage(await pins.unpin(write, options, call)));
    },

    async replacePin(request: ReplacePinRequest, call: CallContext) {
      const write = {
        from: parseCid(request.fromCid, 'from_cid'),
        to: parseCid(request.toCid, 'to_cid'),
        namespace: namespaceOf(request.namespace),
        name: request.name,
        expiresMs: request.expires === undefined ? undefined : msOf(request.expires, 'expires'),
        condition: conditionFrom(request.condition),
      };
      const options = writeOptions(ReplacePinRequestSchema, request, call);
      return create(ReplacePinResponseSchema, writtenMessage(await pins.replace(write, options, call)));
    },

    async waitLevel({ position, level, cid, namespace }: WaitLevelRequest, call: CallContext) {
      const pin = cid === '' ? undefined : { cid: parseCid(cid), namespace: namespaceOf(namespace) };
      const reached = await pins.waitLevel(position, ackFrom(level, 'level'), pin, call);
      return create(WaitLevelResponseSchema, {
        level: ackMessage(reached.level),
        acknowledgedBy: [...reached.acknowledgedBy],
      });
    },
  };
}

function writtenMessage({ pin, level, position, acknowledgedBy, unseenBy }: Written) {
  return {
    ...(pin === undefined ? {} : { pin: pinMessage(pin) }),
    level: ackMessage(level),
    position,
    unseenBy: [...unseenBy],
    acknowledgedBy: [...acknowledgedBy],
  };
}

type Writing = { ack?: Parameters<typeof ackFrom>[0]; idempotencyKey: string };

function writeOptions<D extends DescMessage>(
  schema: D,
  request: MessageShape<D> & Writing,
  call: CallContext,
): WriteOptions {
  const ack = ackFrom(request.ack);
  const key = request.idempotencyKey;
  if (key === '') return { ack, idempotency: undefined };
  return {
    ack,
    idempotency: {
      key: keyHash(schema.typeName, key, 'idempotency_key', call),
      // Another level makes it no other write.
      request: hash('sha256', toBinary(schema, { ...request, ack: undefined }), 'buffer').subarray(0, 16),
    },
  };
}

/** Keys of different callers and different methods never meet. 16 bytes. */
export function keyHash(scope: string, key: string, field: string, call: CallContext): Uint8Array {
  if (Buffer.byteLength(key) > keyBytesMax) throw invalidField(field, `at most ${keyBytesMax} bytes are allowed`);
  const digest = createHash('sha256').update(scope).update('\0').update(call.principal).update('\0').update(key);
  return digest.digest().subarray(0, 16);
}
