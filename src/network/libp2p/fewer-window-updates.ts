import { StreamState, YamuxStream } from '@chainsafe/libp2p-yamux/stream';

const { sendWindowUpdate } = YamuxStream.prototype;

/** Bytes: a whole window, and what of it the other side may still send. The package's types keep them private. */
interface Windows {
  recvWindow: number;
  recvWindowCapacity: number;
}

/**
 * Yamux, as it is, answers each frame of data with a window update: a message that is encrypted, written, read and decrypted by itself, and
 * a tenth of the processor time of a peer that gathers many small answers. So, as the yamux of Go does, it waits until half of the window
 * is used up: who sends has the other half meanwhile.
 */
export function sendFewerWindowUpdates(): void {
  YamuxStream.prototype.sendWindowUpdate = function (this: YamuxStream) {
    const { recvWindow, recvWindowCapacity } = this as unknown as Windows;
    if (this.state === StreamState.Established && recvWindowCapacity > recvWindow / 2) return;
    sendWindowUpdate.call(this);
  };
}
