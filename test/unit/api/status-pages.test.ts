import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import t from 'tap';
import { ListPinStatusesResponseSchema } from '../../../gen/pinfold/v1/pin_service_pb.ts';
import { statusPage } from '../../../src/api/services/status-pages.ts';
import { pinStatusMessage } from '../../../src/api/services/statuses.ts';
import type { PeerPinStatus } from '../../../src/cluster/claim-status.ts';
import type { PinStatus } from '../../../src/cluster/status.ts';
import { encodedForm } from '../../../src/model/encoded-form.ts';

const cid = Uint8Array.from([1, 0x55, 0x12, 0x20, ...new Uint8Array(32).fill(7)]);
const cidV0 = Uint8Array.from([0x12, 0x20, ...new Uint8Array(32).fill(9)]);
const peerId = '12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp';

const pinned: PeerPinStatus = {
  ...{ peerId, peerName: 'peer-1', status: 'pinned', sinceMs: 1_790_000_000_123, attempts: 0 },
  ...{ errorClass: undefined, error: '', retryAtMs: 0 },
};
const failed: PeerPinStatus = {
  ...{ peerId, peerName: '', status: 'pin_error', sinceMs: 1_000, attempts: 4_000_000_000 },
  ...{ errorClass: 'other', error: 'ü '.repeat(500), retryAtMs: 253_402_300_799_999 },
};
const queued: PeerPinStatus = { ...pinned, peerName: 'ä'.repeat(60), status: 'unexpectedly_unpinned', sinceMs: 0 };

const statuses: PinStatus[] = [
  { namespace: 'default', cid, name: 'one', allocations: [peerId, peerId], createdMs: 999, peers: [pinned, failed] },
  { namespace: 'team-7', cid: cidV0, name: '', allocations: [], createdMs: 1_000, peers: [queued] },
  { namespace: '', cid, name: '', allocations: [], createdMs: 0, peers: [] },
  { namespace: 'many', cid, name: 'n'.repeat(1_024), allocations: [], createdMs: 1, peers: Array(300).fill(failed) },
];
const errors = [
  { peerId, peerName: 'peer-1', reason: 'PEER_UNREACHABLE', message: 'ß'.repeat(100) },
  { peerId, peerName: '', reason: 'INTERNAL', message: '' },
] as const;

t.test(
  'a page of statuses by hand equals the generated code, and its fields are there for who reads them',
  async (t) => {
    for (const cursor of [undefined, Uint8Array.of(1, 2, 3)]) {
      const message = statusPage({ statuses, cursor, errors: [...errors] });
      const expected = create(ListPinStatusesResponseSchema, {
        statuses: statuses.map(pinStatusMessage),
        cursor: cursor ?? new Uint8Array(),
        errors: [...errors],
      });
      const bytes = toBinary(ListPinStatusesResponseSchema, expected);
      t.equal(Buffer.compare(encodedForm(message) as Uint8Array, bytes), 0, 'the bytes');
      t.equal(Buffer.compare(toBinary(ListPinStatusesResponseSchema, message), bytes), 0, 'the fields');
      t.equal(fromBinary(ListPinStatusesResponseSchema, bytes).statuses.length, statuses.length);
    }
    t.equal(encodedForm(statusPage({ statuses: [], cursor: undefined, errors: [] }))?.length, 0, 'an empty page');
  },
);
