import type { GetConnectivityResponse, PeerConnections } from '../../gen/pinfold/v1/cluster_service_pb.ts';
import { IpfsNodeState } from '../../gen/pinfold/v1/peer_service_pb.ts';

/**
 * The graph of who is connected with whom in the language of Graphviz: peers as boxes (the one that answers with a double border), their IPFS
 * nodes as cylinders, and what does not answer in red. An edge is what the peer at its tail says, with the round trip.
 */
export function connectivityGraph({ peers, errors }: GetConnectivityResponse): string {
  const known = new Set([...peers, ...errors].map(({ peerId }) => peerId));
  const others = new Set(peers.flatMap(({ connections }) => connections.map(({ peerId }) => peerId)));
  const lines = [
    'digraph cluster {',
    '  node [shape=box, style=filled, fillcolor=lightgoldenrod1, fontname=Arial];',
    '  edge [fontname=Arial, fontsize=10];',
    ...peers.map(({ peerId, name }, i) => node(peerId, name, i === 0 ? { peripheries: '2' } : {})),
    ...errors.map(({ peerId, peerName, message }) =>
      node(peerId, peerName, { fillcolor: 'firebrick1', tooltip: message }),
    ),
    ...[...others].filter((peerId) => !known.has(peerId)).map((peerId) => node(peerId, '', { fillcolor: 'lightgrey' })),
    ...peers.flatMap(peerEdges),
    '}',
  ];
  return lines.join('\n');
}

function peerEdges({ peerId, connections, ipfs }: PeerConnections): string[] {
  const edges = connections.map(({ peerId: to, latencyMs }) =>
    edge(peerId, to, latencyMs === undefined ? {} : { label: `${latencyMs.toPrecision(2)} ms` }),
  );
  const isUp = ipfs?.state === IpfsNodeState.UP;
  const nodeId = `ipfs ${ipfs?.peerId || `of ${peerId}`}`;
  const look = isUp ? { fillcolor: 'turquoise3' } : { fillcolor: 'firebrick1', tooltip: ipfs?.error ?? '' };
  return [
    ...edges,
    node(nodeId, 'IPFS', { ...look, shape: 'cylinder' }, ipfs?.peerId || 'not known'),
    edge(peerId, nodeId, isUp ? {} : { style: 'dotted' }),
  ];
}

function node(id: string, name: string, attributes: Readonly<Record<string, string>>, shown = id): string {
  const label = name === '' ? short(shown) : `${name}\n${short(shown)}`;
  return `  ${quoted(id)} [${listOf({ label, ...attributes })}];`;
}

function edge(from: string, to: string, attributes: Readonly<Record<string, string>>): string {
  const list = listOf(attributes);
  return `  ${quoted(from)} -> ${quoted(to)}${list === '' ? '' : ` [${list}]`};`;
}

const listOf = (attributes: Readonly<Record<string, string>>) =>
  Object.entries(attributes)
    .map(([name, value]) => `${name}=${quoted(value)}`)
    .join(', ');

/** A quoted text of Graphviz: a backslash would begin an escape such as \N, and names are anybody's. */
function quoted(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`;
}

/** The end of a peer ID is what tells two apart. */
const short = (peerId: string) => (peerId.length > 12 ? `${peerId.slice(0, 2)}*${peerId.slice(-6)}` : peerId);
