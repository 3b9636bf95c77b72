import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A way to a port of this machine that can be cut: what goes through then ends, and nothing further gets through. */
export class TcpProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;
  readonly #state: { cut: boolean };

  private constructor(server: Server, sockets: Set<Socket>, state: { cut: boolean }) {
    this.#server = server;
    this.#sockets = sockets;
    this.#state = state;
    this.port = (server.address() as { port: number }).port;
  }

  static async to(port: number): Promise<TcpProxy> {
    const sockets = new Set<Socket>();
    const state = { cut: false };
    const keep = (socket: Socket) => {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    };
    const server = createServer((near) => {
      keep(near);
      if (state.cut) return near.destroy();
      const far = connect(port, '127.0.0.1');
      keep(far);
      near.pipe(far).pipe(near);
      near.on('close', () => far.destroy());
      far.on('close', () => near.destroy());
      return undefined;
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TcpProxy(server, sockets, state);
  }

  cut(): void {
    this.#state.cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  heal(): void {
    this.#state.cut = false;
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
