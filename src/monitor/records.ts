import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  PeerMetricsSchema,
  type PeerRecord,
  PeerRecordSchema,
  type SignedMetrics,
  SignedMetricsSchema,
  type SignedPeerRecord,
  SignedPeerRecordSchema,
} from '../../gen/pinfold/peer/v1/record_pb.ts';
import { formatPeerId, isPeerIdBytes, parsePeerId, publicKeyOf } from '../model/peer-id.ts';
import { type Signer, signed, verifyEd25519 } from '../runtime/ed25519.ts';
import {
  ADDRESS_BYTES_MAX,
  ADDRESSES_MAX,
  METRICS_DOMAIN,
  METRICS_MAX,
  OWN_ADDRESSES_BYTES_MAX,
  RECORD_BYTES_MAX,
  RECORD_DOMAIN,
  TEXT_BYTES_MAX,
  TTL_MS_MAX,
  TTL_MS_MIN,
} from './constants.ts';

/** What a peer says of itself, all but whose word it is and which version. */
export interface RecordContent {
  name: string;
  /** Multiaddrs, with or without /p2p/. */
  addresses: readonly string[];
  follower: boolean;
  level: number;
  trustHash: Uint8Array;
  ipfs: { peerId: string; addresses: readonly string[]; agent: string } | undefined;
  software: string;
  draining: boolean;
}

export type MetricValue = number | string;

/** A record that is well formed; its signature is verified apart, because that is dear. */
export interface OpenedRecord {
  peerId: string;
  version: number;
  record: PeerRecord;
  signed: SignedPeerRecord;
}

export interface OpenedMetrics {
  peerId: string;
  version: number;
  ttlMs: number;
  values: Map<string, MetricValue>;
  signed: SignedMetrics;
}

export function recordOf(peerId: string, version: number, content: RecordContent): PeerRecord {
  return create(PeerRecordSchema, {
    peerId: parsePeerId(peerId),
    version: BigInt(version),
    name: content.name,
    addresses: fitting(content.addresses.map(withoutPeerId)),
    follower: content.follower,
    level: content.level,
    trustHash: content.trustHash,
    software: content.software,
    draining: content.draining,
    ...(content.ipfs === undefined ? {} : { ipfs: ipfsNodeOf(content.ipfs) }),
  });
}

/** What the IPFS node says of itself is cut to fit: it must not keep this peer from having a record. */
function ipfsNodeOf({ peerId, addresses, agent }: NonNullable<RecordContent['ipfs']>) {
  return { peerId, addresses: fitting(addresses), agent: agent.slice(0, TEXT_BYTES_MAX / 4) };
}

function fitting(addresses: readonly string[]): string[] {
  let bytes = 0;
  const fits = (address: string) => {
    bytes += Buffer.byteLength(address);
    return bytes <= OWN_ADDRESSES_BYTES_MAX;
  };
  return addresses.filter((address) => isAddress(address) && fits(address)).slice(0, ADDRESSES_MAX);
}

export function signRecord(signer: Signer, record: PeerRecord): SignedPeerRecord {
  const bytes = toBinary(PeerRecordSchema, record);
  const signature = signer.sign(signed(RECORD_DOMAIN, bytes));
  return create(SignedPeerRecordSchema, { record: bytes, signature });
}

export function signMetrics(
  signer: Signer,
  version: number,
  ttlMs: number,
  values: ReadonlyMap<string, MetricValue>,
): SignedMetrics {
  const metrics = create(PeerMetricsSchema, {
    peerId: parsePeerId(signer.peerId),
    version: BigInt(version),
    ttlMs,
    metrics: [...values].map(([name, value]) => ({
      name,
      value: typeof value === 'number' ? { case: 'number' as const, value } : { case: 'text' as const, value },
    })),
  });
  const bytes = toBinary(PeerMetricsSchema, metrics);
  return create(SignedMetricsSchema, { metrics: bytes, signature: signer.sign(signed(METRICS_DOMAIN, bytes)) });
}

/** Undefined for what is malformed or over a limit. */
export function openRecord(from: SignedPeerRecord): OpenedRecord | undefined {
  const record = decode(() => fromBinary(PeerRecordSchema, from.record), from.record);
  if (record === undefined || !isPeerIdBytes(record.peerId) || !isVersion(record.version)) return undefined;
  const isSound =
    isText(record.name) &&
    isText(record.software) &&
    areAddresses(record.addresses) &&
    (record.trustHash.length === 0 || record.trustHash.length === 32) &&
    (record.ipfs === undefined ||
      (isText(record.ipfs.peerId) && isText(record.ipfs.agent) && areAddresses(record.ipfs.addresses)));
  if (!isSound) return undefined;
  return { peerId: formatPeerId(record.peerId), version: Number(record.version), record, signed: from };
}

export function openMetrics(from: SignedMetrics): OpenedMetrics | undefined {
  const metrics = decode(() => fromBinary(PeerMetricsSchema, from.metrics), from.metrics);
  if (metrics === undefined || !isPeerIdBytes(metrics.peerId) || !isVersion(metrics.version)) return undefined;
  if (metrics.metrics.length > METRICS_MAX) return undefined;
  const values = new Map<string, MetricValue>();
  for (const { name, value } of metrics.metrics) {
    // Of a kind that this version does not know: left out.
    if (value.case === undefined) continue;
    if (!isText(name) || !isValue(value.value)) return undefined;
    values.set(name, value.value);
  }
  const ttlMs = Math.min(TTL_MS_MAX, Math.max(TTL_MS_MIN, metrics.ttlMs));
  return { peerId: formatPeerId(metrics.peerId), version: Number(metrics.version), ttlMs, values, signed: from };
}

export function isRecordSigned({ record, signed: { record: bytes, signature } }: OpenedRecord): boolean {
  return verifyEd25519(publicKeyOf(record.peerId), signed(RECORD_DOMAIN, bytes), signature);
}

export function isMetricsSigned({ peerId, signed: { metrics: bytes, signature } }: OpenedMetrics): boolean {
  return verifyEd25519(publicKeyOf(peerId), signed(METRICS_DOMAIN, bytes), signature);
}

export function isValue(value: MetricValue): boolean {
  return typeof value === 'number' ? Number.isFinite(value) : isText(value);
}

function withoutPeerId(address: string): string {
  const end = address.lastIndexOf('/p2p/');
  return end < 0 ? address : address.slice(0, end);
}

function decode<T>(parse: () => T, bytes: Uint8Array): T | undefined {
  if (bytes.length > RECORD_BYTES_MAX) return undefined;
  try {
    return parse();
  } catch {
    return undefined;
  }
}

function isVersion(version: bigint): boolean {
  return version > 0n && version < BigInt(Number.MAX_SAFE_INTEGER);
}

function isText(text: string): boolean {
  return Buffer.byteLength(text) <= TEXT_BYTES_MAX;
}

function areAddresses(addresses: readonly string[]): boolean {
  return addresses.length <= ADDRESSES_MAX && addresses.every(isAddress);
}

function isAddress(address: string): boolean {
  return address.startsWith('/') && Buffer.byteLength(address) <= ADDRESS_BYTES_MAX;
}
