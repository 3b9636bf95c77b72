import { createServer, type Server, type Socket } from 'node:net';
import type { Test } from 'tap';

export interface HostileRpc {
  /** Multiaddr. */
  address: string;
  /** Request lines and headers, as they came. */
  requests: string[];
  connections(): number;
  /** Ends all connections. */
  cut(): void;
}

/** Writes its answer byte for byte: `say` is called for each request, with what it was. */
export async function hostileRpc(t: Test, say: (socket: Socket, request: string) => void): Promise<HostileRpc> {
  const sockets = new Set<Socket>();
  const requests: string[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (data) => {
      const text = data.toString('latin1');
      if (!text.startsWith('POST ')) return;
      requests.push(text);
      say(socket, text);
    });
  });
  await listening(server);
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  t.teardown(() => {
    cut();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return { address: `/ip4/127.0.0.1/tcp/${port}`, requests, connections: () => sockets.size, cut };
}

function listening(server: Server): Promise<void> {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
}

const head =
  'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTrailer: X-Stream-Error\r\nTransfer-Encoding: chunked\r\n\r\n';

/** An answer as Kubo streams it: each text is one chunk; then its end, with an error in the trailer maybe. */
export function streamed(texts: readonly string[], end: { error?: string } | 'unfinished' = {}): string {
  const chunks = texts.map((text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`).join('');
  if (end === 'unfinished') return `${head}${chunks}`;
  const trailer = end.error === undefined ? '' : `X-Stream-Error: ${end.error}\r\n`;
  return `${head}${chunks}0\r\n${trailer}\r\n`;
}

export function plain(status: string, body: string, headers = ''): string {
  return `HTTP/1.1 ${status}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
}
