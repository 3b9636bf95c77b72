import type { Stream } from '@libp2p/interface';
import t from 'tap';
import { READ_BUFFER_BYTES_MAX } from '../../../src/network/constants.ts';
import { StreamPipe } from '../../../src/network/libp2p/stream-pipe.ts';
import { encodeFrames, FRAME } from '../../../src/network/rpc/frame.ts';

/**
 * As libp2p's streams: `resume` dispatches what has gathered and opens the window afterwards, even if a listener has
 * paused the stream meanwhile.
 */
class GatheringStream extends EventTarget {
  status = 'open';
  readStatus: 'readable' | 'paused' = 'readable';
  readableEnded = false;
  writableNeedsDrain = false;
  gathered: Uint8Array[] = [];

  pause(): void {
    this.readStatus = 'paused';
  }

  resume(): void {
    for (const data of this.gathered.splice(0)) this.arrive(data);
    this.readStatus = 'readable';
  }

  arrive(data: Uint8Array): void {
    this.dispatchEvent(Object.assign(new Event('message'), { data }));
  }
}

t.test(
  'a source that is faster than the reader stays held, also when it filled the pipe during a resumption',
  async (t) => {
    const stream = new GatheringStream();
    const pipe = new StreamPipe(stream as unknown as Stream);
    const message = encodeFrames([{ kind: FRAME.MESSAGE, payload: new Uint8Array(READ_BUFFER_BYTES_MAX / 2) }]);
    for (let i = 0; i < 3; i++) stream.arrive(message);
    t.equal(stream.readStatus, 'paused', 'more lies unread than is allowed');

    stream.gathered = [message, message, message];
    for (let i = 0; i < 3; i++) await pipe.read(READ_BUFFER_BYTES_MAX);
    t.equal(stream.gathered.length, 3, 'what lay unread was enough so far');
    await pipe.read(READ_BUFFER_BYTES_MAX);
    t.equal(stream.gathered.length, 0, 'the reader asked for more than lay unread: the stream went on');
    t.equal(stream.readStatus, 'paused', 'and what it then brought filled the pipe again');
  },
);
