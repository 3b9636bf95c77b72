import { type ErrorCode, PinfoldError } from '../model/errors.ts';
import { ConnectorError, type ConnectorErrorKind } from './connector.ts';

const codes: Readonly<Record<ConnectorErrorKind, ErrorCode>> = {
  DISK_FULL: 'DISK_FULL',
  UNREACHABLE: 'IPFS_UNAVAILABLE',
  NO_PROVIDER: 'IPFS_FAILED',
  PIN_STALLED: 'IPFS_FAILED',
  INVALID_DAG: 'IPFS_FAILED',
  NO_LINK: 'PATH_NOT_FOUND',
  NO_NAMES: 'NAMES_UNSUPPORTED',
  FAILED: 'IPFS_FAILED',
};

/** A failure of the IPFS node as who asked for it is told. What is none of its stays as it is. */
export function nodeError(cause: unknown): unknown {
  if (!(cause instanceof ConnectorError)) return cause;
  return new PinfoldError(codes[cause.kind], cause.message, { cause });
}
