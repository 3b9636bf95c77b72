import { ConnectorError, type ConnectorErrorKind } from '../connector.ts';
import { RpcError } from './rpc-error.ts';

/** Words by which Kubo says that its disk is full, or that its process may not write as much (RLIMIT_FSIZE). */
const full = /no space left on device|disk quota exceeded|not enough space|file too large/i;

/**
 * Words of its decoders, of Kubo 0.42, behind `pin: `. There are no codes for them. What is not among them is FAILED, which
 * is tried again in the same way; only the class that people see is less exact.
 */
const undecodable =
  /no decoder registered|could not choose a decoder|protobuf: |^pin: (unexpected )?EOF$|cbor|dag-json|invalid (wireType|cid|multihash|token)|malformed|potentially insecure hash|unrecognized|block too big|mismatch/i;

/** To what the port says. Anything that is no RpcError stays what it is: an abort, for one. */
export function connectorError(failure: unknown): unknown {
  if (!(failure instanceof RpcError)) return failure;
  return new ConnectorError(kindOf(failure), failure.message, { cause: failure });
}

function kindOf({ kind, message }: RpcError): ConnectorErrorKind {
  if (kind === 'absent' || kind === 'unauthorized' || kind === 'foreign') return 'UNREACHABLE';
  if (kind === 'garbled') return 'FAILED';
  if (full.test(message)) return 'DISK_FULL';
  return undecodable.test(message) ? 'INVALID_DAG' : 'FAILED';
}
