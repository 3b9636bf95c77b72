import { create } from '@bufbuild/protobuf';
import t from 'tap';
import { GetConnectivityResponseSchema } from '../../../gen/pinfold/v1/cluster_service_pb.ts';
import { IpfsNodeState } from '../../../gen/pinfold/v1/peer_service_pb.ts';
import { connectivityGraph } from '../../../src/cli/connectivity-graph.ts';

const idOf = (name: string) => `12D3KooW${name.padEnd(44, 'x')}`;

t.test('peers, their nodes, who does not answer and who is no member', async (t) => {
  const graph = connectivityGraph(
    create(GetConnectivityResponseSchema, {
      peers: [
        {
          peerId: idOf('A'),
          name: 'one',
          connections: [{ peerId: idOf('B'), latencyMs: 1.234 }, { peerId: idOf('Z') }],
          ipfs: { peerId: idOf('I'), state: IpfsNodeState.UP },
        },
        {
          peerId: idOf('B'),
          name: 'two',
          connections: [{ peerId: idOf('A') }],
          ipfs: { state: IpfsNodeState.DOWN, error: 'it does not answer' },
        },
      ],
      errors: [{ peerId: idOf('C'), peerName: 'three', message: 'not done within 900 ms' }],
    }),
  );
  const lines = graph.split('\n');
  t.equal(lines[0], 'digraph cluster {');
  t.equal(lines.at(-1), '}');
  t.match(graph, `"${idOf('A')}" [label="one\\n12*xxxxxx", peripheries="2"];`);
  t.match(graph, `"${idOf('A')}" -> "${idOf('B')}" [label="1.2 ms"];`);
  t.match(graph, `"${idOf('A')}" -> "${idOf('Z')}";`);
  t.match(graph, `"${idOf('Z')}" [label="12*xxxxxx", fillcolor="lightgrey"];`);
  t.match(
    graph,
    `"${idOf('C')}" [label="three\\n12*xxxxxx", fillcolor="firebrick1", tooltip="not done within 900 ms"];`,
  );
  t.match(graph, `"${idOf('A')}" -> "ipfs ${idOf('I')}";`);
  t.match(graph, `"${idOf('B')}" -> "ipfs of ${idOf('B')}" [style="dotted"];`);
  t.match(graph, 'tooltip="it does not answer"');
});

t.test("names are anybody's: nothing in them ends a text or begins an escape", async (t) => {
  const names = ['"]; evil [label="', 'back\\slash\\', '\\N', 'two\nlines', 'ünï<b>'];
  const peers = names.map((name, i) => ({ peerId: idOf(String(i)), name }));
  const graph = connectivityGraph(create(GetConnectivityResponseSchema, { peers }));
  const text = '"(?:[^"\\\\\\n]|\\\\.)*"';
  const attributes = `(?: \\[\\w+=${text}(?:, \\w+=${text})*\\])?`;
  const statement = new RegExp(`^  ${text}(?: -> ${text})?${attributes};$`);
  const statements = graph.split('\n').slice(3, -1);
  t.equal(statements.length, names.length * 3, 'a peer, its node, and the edge between');
  for (const line of statements) t.match(line, statement);
  t.match(graph, 'label="back\\\\slash\\\\\\n12*');
});
