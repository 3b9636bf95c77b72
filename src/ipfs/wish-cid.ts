import { CID } from 'multiformats/cid';
import { toV1 } from '../model/cid.ts';
import { ConnectorError } from './connector.ts';
import { CID_BYTES_MAX } from './constants.ts';
import { checkHashable } from './dag/hashers.ts';

/** The CID of version 1 that both versions of a wish are kept under. Throws INVALID_DAG. */
export function wishCid(bytes: Uint8Array): CID {
  if (bytes.length > CID_BYTES_MAX)
    throw new ConnectorError('INVALID_DAG', `a CID of more than ${CID_BYTES_MAX} bytes`);
  let cid: CID;
  try {
    cid = CID.decode(toV1(bytes));
  } catch (cause) {
    throw new ConnectorError('INVALID_DAG', `not a CID: ${(cause as Error).message}`, { cause });
  }
  checkHashable(cid);
  return cid;
}
