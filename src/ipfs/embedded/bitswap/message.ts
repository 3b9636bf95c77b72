import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { MESSAGE_ENTRIES_MAX } from './constants.ts';
import { OversizedError } from './frames.ts';

/** One message of Bitswap 1.2, https://github.com/ipfs/boxo/blob/main/bitswap/message/pb/message.proto. */
export interface BitswapMessage {
  wants: WantEntry[];
  /** Whether `wants` replaces what was wanted before. */
  isFull: boolean;
  blocks: { prefix: Uint8Array; data: Uint8Array }[];
  presences: { cid: Uint8Array; has: boolean }[];
}

export interface WantEntry {
  cid: Uint8Array;
  /** `have`: only tell whether it is there. */
  kind: 'block' | 'have' | 'cancel';
  /** Whether to be told when it is not there. */
  sendDontHave: boolean;
}

export function emptyMessage(): BitswapMessage {
  return { wants: [], isFull: false, blocks: [], presences: [] };
}

export function isEmpty(message: BitswapMessage): boolean {
  return message.wants.length + message.blocks.length + message.presences.length === 0;
}

/** With its length before it, as it goes onto a stream. */
export function encodeFrame(message: BitswapMessage): Uint8Array {
  const body = new BinaryWriter();
  // Go decodes a message without a want list to a nil one; boxo expects that, and so may be left out.
  if (message.wants.length > 0 || message.isFull)
    writeWants(body.tag(1, WireType.LengthDelimited).fork(), message).join();
  for (const { prefix, data } of message.blocks) {
    body.tag(3, WireType.LengthDelimited).fork();
    body.tag(1, WireType.LengthDelimited).bytes(prefix).tag(2, WireType.LengthDelimited).bytes(data).join();
  }
  for (const { cid, has } of message.presences) {
    body.tag(4, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).bytes(cid);
    if (!has) body.tag(2, WireType.Varint).int32(1);
    body.join();
  }
  return new BinaryWriter().bytes(body.finish()).finish();
}

function writeWants(writer: BinaryWriter, message: BitswapMessage): BinaryWriter {
  for (const { cid, kind, sendDontHave } of message.wants) {
    writer.tag(1, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).bytes(cid).tag(2, WireType.Varint).int32(1);
    if (kind === 'cancel') writer.tag(3, WireType.Varint).bool(true);
    if (kind === 'have') writer.tag(4, WireType.Varint).int32(1);
    if (sendDontHave) writer.tag(5, WireType.Varint).bool(true);
    writer.join();
  }
  if (message.isFull) writer.tag(2, WireType.Varint).bool(true);
  return writer;
}

/** Throws when it is not a message, and OversizedError for too many entries. Unknown fields are passed over. */
export function decodeMessage(bytes: Uint8Array): BitswapMessage {
  const message = emptyMessage();
  eachField(bytes, {
    1: (reader) => readWantlist(reader.bytes(), message),
    3: (reader) => {
      checkRoom(message);
      message.blocks.push(readBlock(reader.bytes()));
    },
    4: (reader) => {
      checkRoom(message);
      message.presences.push(readPresence(reader.bytes()));
    },
  });
  return message;
}

function checkRoom({ wants, blocks, presences }: BitswapMessage): void {
  if (wants.length + blocks.length + presences.length < MESSAGE_ENTRIES_MAX) return;
  throw new OversizedError(`a message of more than ${MESSAGE_ENTRIES_MAX} entries`);
}

function readWantlist(bytes: Uint8Array, message: BitswapMessage): void {
  eachField(bytes, {
    1: (reader) => {
      checkRoom(message);
      message.wants.push(readEntry(reader.bytes()));
    },
    2: (reader) => {
      message.isFull = reader.bool();
    },
  });
}

function readEntry(bytes: Uint8Array): WantEntry {
  const entry: WantEntry = { cid: new Uint8Array(), kind: 'block', sendDontHave: false };
  let isCancel = false;
  eachField(bytes, {
    1: (reader) => {
      entry.cid = new Uint8Array(reader.bytes());
    },
    3: (reader) => {
      isCancel = reader.bool();
    },
    4: (reader) => {
      entry.kind = reader.int32() === 1 ? 'have' : 'block';
    },
    5: (reader) => {
      entry.sendDontHave = reader.bool();
    },
  });
  return isCancel ? { ...entry, kind: 'cancel' } : entry;
}

function readBlock(bytes: Uint8Array): BitswapMessage['blocks'][number] {
  const block = { prefix: new Uint8Array(), data: new Uint8Array() };
  eachField(bytes, {
    1: (reader) => {
      block.prefix = new Uint8Array(reader.bytes());
    },
    2: (reader) => {
      // A copy: a view would keep the whole message for as long as the block is kept.
      block.data = new Uint8Array(reader.bytes());
    },
  });
  return block;
}

function readPresence(bytes: Uint8Array): BitswapMessage['presences'][number] {
  const presence = { cid: new Uint8Array(), has: true };
  eachField(bytes, {
    1: (reader) => {
      presence.cid = new Uint8Array(reader.bytes());
    },
    2: (reader) => {
      presence.has = reader.int32() === 0;
    },
  });
  return presence;
}

type FieldReaders = Readonly<Record<number, (reader: BinaryReader) => unknown>>;

function eachField(bytes: Uint8Array, readers: FieldReaders): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    const read = readers[field];
    if (read === undefined) reader.skip(type, field);
    else read(reader);
  }
}
