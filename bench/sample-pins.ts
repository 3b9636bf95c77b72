import { hash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { WritePinsRequestSchema } from '../gen/pinfold/v1/pin_service_pb.ts';
import { formatCid } from '../src/model/cid.ts';

/** CIDv1, raw, SHA-256 of the number: distinct, and spread like real ones. */
export function sampleCid(i: number): Uint8Array {
  const cid = new Uint8Array(36);
  cid.set([1, 0x55, 0x12, 0x20]);
  cid.set(hash('sha256', sampleContent(i), 'buffer'), 4);
  return cid;
}

/** What that CID is of. */
export function sampleContent(i: number): Uint8Array {
  return Buffer.from(`sample ${i}`);
}

/** A name of 26 bytes, and two metadata entries on every tenth. */
export function samplePin(i: number) {
  return {
    cid: formatCid(sampleCid(i)),
    options: {
      name: `backups/2026/object-${String(i).padStart(7, '0')}`.slice(0, 26),
      metadata:
        i % 10 === 0
          ? [
              { key: 'owner', value: `team-${i % 7}` },
              { key: 'tier', value: 'cold' },
            ]
          : [],
    },
  };
}

/** Messages of WritePins as bytes, made before the clock starts. */
export function encodedBatches(from: number, count: number, perMessage: number): Uint8Array[] {
  const batches: Uint8Array[] = [];
  for (let i = 0; i < count; i += perMessage) {
    const operations = Array.from({ length: Math.min(perMessage, count - i) }, (_, j) => ({
      operation: { case: 'pin' as const, value: samplePin(from + i + j) },
    }));
    const value = { first: BigInt(i + 1), operations };
    const message = create(WritePinsRequestSchema, { message: { case: 'batch', value } });
    batches.push(toBinary(WritePinsRequestSchema, message));
  }
  return batches;
}
