import t from 'tap';
import { peerMethods } from '../../../src/network/peer-methods.ts';
import { Admission } from '../../../src/network/rpc/admission.ts';

t.test('one caller has its rate, whatever others do, and it comes back with time', async (t) => {
  const admission = new Admission();
  const { hello } = peerMethods;
  const begun = (peer: string, nowMs: number) => {
    let calls = 0;
    while (calls < 10_000 && admission.isAllowed('hello', peer, hello, nowMs)) calls++;
    return calls;
  };
  t.equal(begun('mad', 0), hello.burst);
  t.equal(begun('mad', hello.everyMs * 3), 3);
  t.equal(begun('other', hello.everyMs * 3), hello.burst);
  t.equal(begun('mad', hello.everyMs * 100_000), hello.burst);
  t.ok(admission.isAllowed('sync', 'mad', peerMethods.sync, hello.everyMs * 100_000), 'each method for itself');
});

t.test('callers that come and go are not remembered for ever', async (t) => {
  const admission = new Admission();
  for (let i = 0; i < 50_000; i++) admission.isAllowed('hello', `peer ${i}`, peerMethods.hello, 0);
  t.ok(admission.remembered <= 16_384);
});
