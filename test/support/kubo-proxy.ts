import { createServer, type IncomingMessage, type RequestListener, request, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { Test } from 'tap';
import { parseRpcAddress } from '../../src/ipfs/kubo/address.ts';
import type { KuboNode } from './kubo.ts';

/** Answers a command itself, or says false: then Kubo does. */
export type Meddler = (command: string, query: URLSearchParams, response: ServerResponse) => boolean;

/** Stands before the RPC of a real node and meddles with some of it. Resolves with its address. */
export async function kuboProxy(t: Test, node: KuboNode, meddle: Meddler, tls?: ServerOptions): Promise<string> {
  const onRequest: RequestListener = (incoming, response) => {
    const { pathname, searchParams } = new URL(incoming.url ?? '', 'http://x');
    if (!meddle(pathname.replace('/api/v0/', ''), searchParams, response)) forward(incoming, response, node);
  };
  const server = tls === undefined ? createServer(onRequest) : createTlsServer(tls, onRequest);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return `/ip4/127.0.0.1/tcp/${port}${tls === undefined ? '' : '/https'}`;
}

function forward(incoming: IncomingMessage, response: ServerResponse, node: KuboNode): void {
  const { host, port } = parseRpcAddress(node.api);
  const { method, url, headers } = incoming;
  const outgoing = request({ host, port, method, path: url, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    answer.on('data', (chunk) => response.write(chunk));
    answer.on('end', () => {
      response.addTrailers(answer.trailers as Record<string, string>);
      response.end();
    });
    answer.on('error', () => response.destroy());
  });
  outgoing.on('error', () => response.destroy());
  response.on('close', () => outgoing.destroy());
  incoming.pipe(outgoing);
}
