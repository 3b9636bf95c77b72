import { StreamState, YamuxStream } from '@chainsafe/libp2p-yamux/stream';

const { sendWindowUpdate } = YamuxStream.prototype;

const UPDATE_BYTES_MIN = 64 * 1024;

/** Bytes: a whole window, and what of it the other side may still send. The package's types keep them private. */
interface Windows {
  recvWindow: number;
  recvWindowCapacity: number;
}

/**
 * Yamux, as it is, answers each frame of data with a window update: a message that is encrypted, written, read and decrypted by itself, and
 * a tenth of the processor time of a peer that gathers many small answers. So it waits until a quarter of the smallest window is used up: who
 * sends has the rest meanwhile, and where much comes windows grow as they did.
 */
export function sendFewerWindowUpdates(): void {
  YamuxStream.prototype.sendWindowUpdate = function (this: YamuxStream) {
    const { recvWindow, recvWindowCapacity } = this as unknown as Windows;
    if (this.state === StreamState.Established && recvWindow - recvWindowCapacity < UPDATE_BYTES_MIN) return;
    sendWindowUpdate.call(this);
  };
}
