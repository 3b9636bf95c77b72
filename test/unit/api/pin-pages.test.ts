import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import t from 'tap';
import { ListPinsResponseSchema } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { pinMessage } from '../../../src/api/services/convert.ts';
import { pinPage } from '../../../src/api/services/pin-pages.ts';
import { encodedForm } from '../../../src/model/encoded-form.ts';
import type { Pin } from '../../../src/model/pin.ts';

const cid = Uint8Array.from([1, 0x55, 0x12, 0x20, ...new Uint8Array(32).fill(7)]);
const cidV0 = Uint8Array.from([0x12, 0x20, ...new Uint8Array(32).fill(9)]);
const peerId = '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp';

const plain: Pin = {
  cid,
  namespace: 'default',
  name: '',
  mode: 'recursive',
  replicationMin: -1,
  replicationMax: -1,
  userAllocations: [],
  metadata: [],
  origins: [],
  createdMs: 1_790_000_000_123,
  expiresMs: 0,
  updatedFrom: undefined,
  type: 'data',
  allocations: [],
};

const pins: Pin[] = [
  plain,
  { ...plain, cid: cidV0, namespace: 'team-7', name: 'näme '.repeat(40), createdMs: 1_000 },
  { ...plain, mode: 'direct', replicationMin: 2, replicationMax: 300, allocations: [peerId, peerId] },
  {
    ...plain,
    userAllocations: [peerId],
    metadata: [
      ['k', 'v'.repeat(8_000)],
      ['ü', ''],
    ],
    updatedFrom: cidV0,
  },
  { ...plain, origins: [`/ip4/10.0.0.1/tcp/4001/p2p/${peerId}`], expiresMs: 253_402_300_799_999, createdMs: 999 },
];

t.test('a page of pins by hand equals the generated code, and its fields are there for who reads them', async (t) => {
  const stored = pins.map((pin, i) => ({ key: cid, pin, etag: new Uint8Array(16).fill(i) }));
  for (const cursor of [undefined, Uint8Array.of(1, 2, 3)]) {
    const message = pinPage({ pins: stored, cursor });
    const expected = create(ListPinsResponseSchema, {
      pins: stored.map(pinMessage),
      cursor: cursor ?? new Uint8Array(),
    });
    const bytes = toBinary(ListPinsResponseSchema, expected);
    t.equal(Buffer.compare(encodedForm(message) as Uint8Array, bytes), 0, 'the bytes');
    t.equal(Buffer.compare(toBinary(ListPinsResponseSchema, message), bytes), 0, 'the fields');
    t.equal(fromBinary(ListPinsResponseSchema, encodedForm(message) as Uint8Array).pins.length, pins.length);
  }
  t.equal(encodedForm(pinPage({ pins: [], cursor: undefined }))?.length, 0, 'an empty page');
});
