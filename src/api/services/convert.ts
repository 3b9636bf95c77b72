import { create } from '@bufbuild/protobuf';
import { type Timestamp, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import {
  AckLevel_Kind,
  type AckLevel as AckLevelMessage,
  AckLevelSchema,
  type Condition as ConditionMessage,
  type Pin as PinMessage,
  PinMode as PinModeMessage,
  type PinOptions,
  PinSchema,
} from '../../../gen/pinfold/v1/pin_pb.ts';
import type { PinWrite } from '../../cluster/pins.ts';
import type { AckLevel, Condition } from '../../consensus/consensus.ts';
import { formatCid } from '../../model/cid.ts';
import { invalidField } from '../../model/errors.ts';
import { checkPeerId } from '../../model/peer-id.ts';
import { defaultNamespace, type PinMode } from '../../model/pin.ts';
import type { StoredPin } from '../../pinset/pinset.ts';

export const namespaceOf = (namespace: string): string => (namespace === '' ? defaultNamespace : namespace);

/** Milliseconds; 0 for none. Throws INVALID_ARGUMENT for what is outside of 1970 to 9999. */
export function msOf(timestamp: Timestamp | undefined, field: string): number {
  if (timestamp === undefined) return 0;
  const ms = Math.floor(timestampMs(timestamp));
  if (!Number.isSafeInteger(ms) || ms <= 0 || ms > 253_402_300_799_999)
    throw invalidField(field, 'is not a time from 1970 to 9999');
  return ms;
}

const noPairs: PinWrite['options']['metadata'] = [];

const noOptions: PinWrite['options'] = {
  name: '',
  mode: 'recursive',
  replicationMin: 0,
  replicationMax: 0,
  userAllocations: [],
  metadata: noPairs,
  origins: [],
  expiresMs: 0,
};

export function pinOptionsFrom(options: PinOptions | undefined): PinWrite['options'] {
  if (options === undefined) return noOptions;
  for (const peerId of options.userAllocations) checkPeerId(peerId, 'options.user_allocations');
  return {
    name: options.name,
    mode: modeFrom(options.mode),
    replicationMin: options.replicationMin,
    replicationMax: options.replicationMax,
    userAllocations: options.userAllocations,
    metadata: options.metadata.length === 0 ? noPairs : options.metadata.map(({ key, value }) => [key, value] as const),
    origins: options.origins,
    expiresMs: msOf(options.expires, 'options.expires'),
  };
}

function modeFrom(mode: PinModeMessage): PinMode {
  switch (mode) {
    case PinModeMessage.UNSPECIFIED:
    case PinModeMessage.RECURSIVE:
      return 'recursive';
    case PinModeMessage.DIRECT:
      return 'direct';
    default:
      throw invalidField('options.mode', `${mode} is not a mode that this version knows`);
  }
}

export function conditionFrom(message: ConditionMessage | undefined): Condition | undefined {
  switch (message?.condition.case) {
    case 'ifAbsent':
      return message.condition.value ? { kind: 'if-absent' } : undefined;
    case 'ifMatch':
      return { kind: 'if-match', etag: message.condition.value };
    default:
      return undefined;
  }
}

export function ackFrom(message: AckLevelMessage | undefined, field = 'ack'): AckLevel {
  switch (message?.kind) {
    case undefined:
    case AckLevel_Kind.UNSPECIFIED:
    case AckLevel_Kind.DURABLE:
      return { kind: 'durable' };
    case AckLevel_Kind.REPLICATED:
      return { kind: 'replicated', count: countOf(message, field) };
    case AckLevel_Kind.PINNED:
      return { kind: 'pinned', count: countOf(message, field) };
    default:
      throw invalidField(`${field}.kind`, `${message?.kind} is not a level that this version knows`);
  }
}

function countOf(message: AckLevelMessage, field: string): number {
  if (message.count === 0) throw invalidField(`${field}.count`, 'must be at least 1 for this level');
  return message.count;
}

export const ackKinds = {
  durable: AckLevel_Kind.DURABLE,
  replicated: AckLevel_Kind.REPLICATED,
  pinned: AckLevel_Kind.PINNED,
} as const satisfies Record<AckLevel['kind'], AckLevel_Kind>;

export function ackMessage(level: AckLevel): AckLevelMessage {
  return create(AckLevelSchema, { kind: ackKinds[level.kind], count: level.kind === 'durable' ? 1 : level.count });
}

export function pinMessage({ pin, etag }: StoredPin): PinMessage {
  return create(PinSchema, {
    namespace: pin.namespace,
    cid: formatCid(pin.cid),
    options: {
      name: pin.name,
      mode: pin.mode === 'direct' ? PinModeMessage.DIRECT : PinModeMessage.RECURSIVE,
      replicationMin: pin.replicationMin,
      replicationMax: pin.replicationMax,
      userAllocations: [...pin.userAllocations],
      metadata: pin.metadata.map(([key, value]) => ({ key, value })),
      origins: [...pin.origins],
      ...(pin.expiresMs === 0 ? {} : { expires: timestampFromMs(pin.expiresMs) }),
    },
    allocations: [...pin.allocations],
    created: timestampFromMs(pin.createdMs),
    etag,
    updatedFrom: pin.updatedFrom === undefined ? '' : formatCid(pin.updatedFrom),
  });
}
