import { ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { CliError } from './cli-error.ts';
import type { Clients } from './client.ts';
import type { CliContext } from './context.ts';

/** For the help of commands that take a CID. */
export const pathHelp = `
A path can stand for the CID: /ipfs/CID/a/b, ipfs://CID/a/b, or /ipns/NAME/a/b where the peer's IPFS node resolves names, as Kubo does.
That node follows it, and fetches the blocks on the way that it lacks. "pinfold ipfs resolve" only says where it leads.`;

export interface NamedCid {
  cid: string;
  /** As it was said, when it was a path. */
  path?: string;
}

/** Text without a slash is taken as it is, for the daemon to judge; anything else is a path, which the daemon resolves. */
export async function cidOf(
  { out }: CliContext,
  { pins }: Pick<Clients, 'pins'>,
  text: string,
  origins: string[] = [],
): Promise<NamedCid> {
  if (!text.includes('/')) return { cid: text };
  const { cid, path } = await pins.resolve({ path: text, origins });
  if (path !== `/ipfs/${cid}`) {
    throw new CliError(`${text} leads to a value inside a block, ${path}; the block itself is ${cid}`, 'INVALID_PATH');
  }
  out.note(`resolved ${text} to ${cid}`);
  return { cid, path: text };
}

/** What is wrong with one path, and not with the call as a whole. */
export function pathFailure(error: unknown): { reason: string; message: string } | undefined {
  if (error instanceof CliError) return error;
  if (!(error instanceof ConnectError)) return undefined;
  const [info] = error.findDetails(ErrorInfoSchema);
  return info && { reason: info.reason, message: error.rawMessage };
}
