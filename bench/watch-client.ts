import { create, toBinary } from '@bufbuild/protobuf';
import { WatchPinsRequestSchema } from '../gen/pinfold/v1/pin_service_pb.ts';
import { countFields, RawClient } from './raw-client.ts';

/*
 * A process of its own: watches the changes of pins with some streams at once until each has seen COUNT of them. Prints a line when all
 * are caught up, and {"changes", "cpuSeconds"} at the end.
 *
 *     watch-client.ts HOST WATCHERS COUNT
 */
const [host = '', watchers = '1', count = '0'] = process.argv.slice(2);
const request = toBinary(WatchPinsRequestSchema, create(WatchPinsRequestSchema, { pinsOnly: true, changesOnly: true }));
/** The field `caught_up`, and the event `pinned` as the first field of an event. */
const caughtUpField = 3;
const pinnedTag = 0x0a;

const client = new RawClient(host);
const ready = Array.from({ length: Number(watchers) }, () => Promise.withResolvers<void>());
const watching = ready.map((each) => watch(each.resolve));
await Promise.all(ready.map(({ promise }) => promise));
console.log('ready');
const cpuBefore = process.cpuUsage();
await Promise.all(watching);
const { user, system } = process.cpuUsage(cpuBefore);
console.log(JSON.stringify({ changes: Number(watchers) * Number(count), cpuSeconds: (user + system) / 1e6 }));
client.close();

async function watch(onCaughtUp: () => void): Promise<void> {
  const call = client.reads('WatchPins', request);
  call.on('error', () => {}); // Cancelled below.
  let seen = 0;
  for await (const message of call as AsyncIterable<Uint8Array>) {
    if (countFields(message, caughtUpField) > 0) onCaughtUp();
    seen += countFields(message, 1, (at) => message[at] === pinnedTag);
    if (seen >= Number(count)) break;
  }
  call.cancel();
}
