import { type ContentPath, parseContentPath } from '../../model/content-path.ts';
import { isPinfoldError } from '../../model/errors.ts';
import { deadlineSignal } from '../../runtime/abort.ts';
import { ConnectorError, type Resolved, type ResolveOptions } from '../connector.ts';
import { type PathResolutionNeeds, resolveFrom } from '../path-resolution.ts';
import { namedPath } from './answers.ts';
import { fetchBlock } from './block-calls.ts';
import type { KuboRpc } from './rpc.ts';
import { RpcError } from './rpc-error.ts';

export interface KuboResolveNeeds extends Omit<PathResolutionNeeds, 'fetch'> {
  rpc: KuboRpc;
}

export async function resolveByKubo(
  path: ContentPath,
  options: ResolveOptions,
  needs: KuboResolveNeeds,
): Promise<Resolved> {
  const { rpc } = needs;
  const { root, segments } = path.kind === 'ipfs' ? path : await resolveName(path, options, needs);
  // The stall is told first.
  const answerTimeoutMs = 2 * options.stallTimeoutMs;
  return resolveFrom(root, segments, options, {
    ...needs,
    fetch: (cid, { signal }) => fetchBlock(rpc, cid, { signal, answerTimeoutMs }),
  });
}

/** Kubo looks into its own records, asks the DHT or DNS, and follows names that lead to names. */
async function resolveName(
  { name, segments }: ContentPath & { kind: 'ipns' },
  { signal, stallTimeoutMs }: ResolveOptions,
  { rpc, timers }: KuboResolveNeeds,
): Promise<ContentPath & { kind: 'ipfs' }> {
  using scope = deadlineSignal(timers, stallTimeoutMs, signal);
  let text: string;
  try {
    const query: [string, string][] = [['arg', `/ipns/${name}`]];
    const answerTimeoutMs = 2 * stallTimeoutMs;
    text = namedPath(await rpc.one({ command: 'name/resolve', query, answerTimeoutMs, signal: scope.signal }));
  } catch (cause) {
    signal.throwIfAborted();
    if (!scope.signal.aborted) throw cause;
    const message = `the IPFS node did not find out within ${stallTimeoutMs} ms where /ipns/${name} leads`;
    throw new ConnectorError('NO_PROVIDER', message, { cause });
  }
  const path = parsedAnswer(text);
  if (path.kind === 'ipns') throw new ConnectorError('FAILED', `/ipns/${name} leads to a name again: ${text}`);
  return { ...path, segments: [...path.segments, ...segments] };
}

function parsedAnswer(text: string): ContentPath {
  try {
    return parseContentPath(text);
  } catch (cause) {
    if (!isPinfoldError(cause)) throw cause;
    throw new RpcError('garbled', `the IPFS node answered name/resolve with what is no path: ${cause.message}`, {
      cause,
    });
  }
}
