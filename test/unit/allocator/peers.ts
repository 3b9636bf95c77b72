import type { AllocatablePeer, AllocationInput } from '../../../src/allocator/allocator.ts';
import { allocatorOptions } from '../../../src/allocator/options.ts';
import { defaultsOf } from '../../../src/config/option.ts';
import { pinKey } from '../../../src/model/pin-key.ts';
import { testCid } from '../../support/crdt-peers.ts';

export const defaults = defaultsOf(allocatorOptions);

export function peer(
  peerId: string,
  metrics: Readonly<Record<string, number | string>>,
  standing: AllocatablePeer['standing'] = 'takes',
): AllocatablePeer {
  const reason = standing === 'takes' ? undefined : ({ code: 'SUSPECT' } as const);
  return { peerId, standing, reason, metrics: new Map(Object.entries(metrics)) };
}

export function input(changes: Partial<AllocationInput> = {}): AllocationInput {
  return { key: keyOf(0), replicationMin: 1, replicationMax: 1, current: [], userAllocations: [], ...changes };
}

export const keyOf = (i: number) => pinKey(testCid(i), 'default');
