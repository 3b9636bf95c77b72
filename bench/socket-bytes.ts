import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

/** Bytes that all TCP sockets of this process have received so far: with both ends here, all that went over the wire. */
export class SocketBytes {
  readonly #sockets = new Set<Socket>();
  #ended = 0;

  constructor() {
    for (const channel of ['net.client.socket', 'net.server.socket']) {
      subscribe(channel, (message) => {
        const { socket } = message as { socket: Socket };
        this.#sockets.add(socket);
        socket.once('close', () => {
          this.#sockets.delete(socket);
          this.#ended += socket.bytesRead;
        });
      });
    }
  }

  get received(): number {
    let bytes = this.#ended;
    for (const { bytesRead } of this.#sockets) bytes += bytesRead;
    return bytes;
  }
}
