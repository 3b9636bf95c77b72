import { StreamState, YamuxStream } from '@chainsafe/libp2p-yamux/stream';
import t from 'tap';
import { sendFewerWindowUpdates } from '../../../src/network/libp2p/fewer-window-updates.ts';
import { quietLogger } from '../../../src/network/libp2p/quiet-logger.ts';

const windowBytes = 256 * 1024;
const frameBytes = 1024;
const updateBytes = 64 * 1024;
const [dataFrame, windowUpdate] = [0, 1];

/** A stream that is read at once, and what of its window the other side believes to be left. */
function receiver(state: StreamState) {
  const sent: { flag: number; length: number }[] = [];
  const init = {
    ...{ id: '1', streamId: 1, state, direction: 'inbound' as const, protocol: '/test/1' },
    ...{ initialStreamWindowSize: windowBytes, maxStreamWindowSize: windowBytes, getRTT: () => 1 },
    log: quietLogger.forComponent('test'),
    sendFrame({ type, flag, length }: { type: number; flag: number; length: number }) {
      if (type === windowUpdate) sent.push({ flag, length });
      return true;
    },
  };
  const stream = new YamuxStream(init as unknown as ConstructorParameters<typeof YamuxStream>[0]);
  let received = 0;
  stream.addEventListener('message', ({ data }) => {
    received += data.byteLength;
  });
  const takeFrame = () =>
    stream.handleData({
      header: { type: dataFrame, flag: 0, streamID: 1, length: frameBytes },
      data: new Uint8Array(frameBytes),
    } as unknown as Parameters<YamuxStream['handleData']>[0]);
  return { stream, sent, takeFrame, received: () => received };
}

t.before(sendFewerWindowUpdates);

t.test(
  'a window update comes when a quarter of the window is used up, and the sender never runs out of it',
  async (t) => {
    const { sent, takeFrame, received } = receiver(StreamState.Established);
    const frames = 2_000;
    let least = windowBytes;
    for (let i = 1; i <= frames; i++) {
      takeFrame();
      const granted = sent.reduce((sum, { length }) => sum + length, 0);
      least = Math.min(least, windowBytes + granted - i * frameBytes);
    }
    t.equal(received(), frames * frameBytes);
    t.ok(least >= windowBytes - updateBytes, 'most of the window is open at any time');
    t.equal(sent.length, Math.floor((frames * frameBytes) / updateBytes));
  },
);

t.test('a stream that was opened by the other side is acknowledged at once', async (t) => {
  const { sent, takeFrame } = receiver(StreamState.SYNReceived);
  takeFrame();
  t.equal(sent.length, 1);
  t.not(sent[0]?.flag, 0);
});

t.test('a reader that pauses gives no window, and what it used when it goes on', async (t) => {
  const { stream, sent, takeFrame } = receiver(StreamState.Established);
  stream.sendPause();
  for (let i = 0; i < 200; i++) takeFrame();
  t.equal(sent.length, 0);
  stream.sendResume();
  t.same(
    sent.map(({ length }) => length),
    [200 * frameBytes],
  );
});
