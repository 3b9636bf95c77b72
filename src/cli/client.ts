import { type Client, Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { ClusterService } from '../../gen/pinfold/v1/cluster_service_pb.ts';
import { PeerService } from '../../gen/pinfold/v1/peer_service_pb.ts';
import { PinService } from '../../gen/pinfold/v1/pin_service_pb.ts';
import { CliError } from './cli-error.ts';

/** The services of one daemon, over gRPC. */
export interface Clients {
  pins: Client<typeof PinService>;
  cluster: Client<typeof ClusterService>;
  peers: Client<typeof PeerService>;
}

/** Largest message read, bytes: the daemon's own limit. */
const readBytesMax = 4 * 1024 * 1024;

export function connect(host: string, timeoutMs: number | undefined): Clients {
  const transport = createGrpcTransport({
    baseUrl: `http://${host}`,
    readMaxBytes: readBytesMax,
    ...(timeoutMs === undefined ? {} : { defaultTimeoutMs: timeoutMs }),
  });
  return {
    pins: createClient(PinService, transport),
    cluster: createClient(ClusterService, transport),
    peers: createClient(PeerService, transport),
  };
}

/** What a failed call says to a person: the daemon's words and its stable reason, or how to reach the daemon. */
export function explainCallFailure(error: unknown, host: string): CliError | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  const [info] = error.findDetails(ErrorInfoSchema);
  if (info !== undefined) return new CliError(error.rawMessage, info.reason);
  if (/ECONNREFUSED|ENOTFOUND|ECONNRESET|EHOSTUNREACH|ENOENT/.test(error.rawMessage)) {
    return new CliError(
      `no daemon answers at ${host}; start one with "pinfold daemon", or name its gRPC address with --host`,
      'UNREACHABLE',
    );
  }
  return new CliError(error.rawMessage, reasonOf(error.code));
}

/** As the error registry writes them: DEADLINE_EXCEEDED. */
function reasonOf(code: Code): string {
  return (Code[code] ?? 'UNKNOWN').replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
