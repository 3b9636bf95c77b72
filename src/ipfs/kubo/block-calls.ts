import type { CID } from 'multiformats/cid';
import { byteString } from '../../model/bytes.ts';
import { formatCid } from '../../model/cid.ts';
import { type Block, ConnectorError, type PutOptions } from '../connector.ts';
import { BLOCK_BYTES_MAX } from '../constants.ts';
import { carHeader, carSection } from '../dag/car-writer.ts';
import { checkBlock, checkSize, hashers, IDENTITY_CODE } from '../dag/hashers.ts';
import { isKnownCodec } from '../dag/links.ts';
import { forEachLimited } from '../for-each-limited.ts';
import { wishCid } from '../wish-cid.ts';
import { importedBlocks, putBlockLine } from './answers.ts';
import { PUT_BLOCKS_MAX, PUT_BYTES_MAX, STATS_AT_ONCE } from './constants.ts';
import { multipart } from './multipart.ts';
import type { KuboRpc } from './rpc.ts';
import { isRefusal, RpcError } from './rpc-error.ts';

export interface ReadBlock {
  cid: CID;
  bytes: Uint8Array;
}

/**
 * Throws INVALID_DAG for the first block that is too large or, unless that may be left to Kubo, is not what its CID says. Blocks that are in
 * their CID need no storing.
 */
export function readBlocks(
  blocks: readonly Block[],
  { areChecked = false, mayBePartial = false }: PutOptions,
): ReadBlock[] {
  const read = blocks.map((block) => ({ cid: wishCid(block.cid), bytes: block.bytes }));
  const check = areChecked || mayBePartial ? checkSize : checkBlock;
  for (const { cid, bytes } of read) check(cid, bytes);
  return read.filter(({ cid }) => cid.multihash.code !== IDENTITY_CODE);
}

/**
 * Blocks in the form that one request can have, in their order and not too many. Whether they are flushed when the answer is there is a matter
 * of Kubo's datastore: flatfs has `sync` for it, off by default.
 */
export function putRequests(blocks: readonly ReadBlock[]): Generator<ReadBlock[]> {
  return alike(blocks, ({ cid }) => (isKnownCodec(cid) ? 'known' : 'unknown'));
}

/** Runs of blocks of one kind, as many as one request takes. */
function* alike(blocks: readonly ReadBlock[], kindOf: (block: ReadBlock) => string): Generator<ReadBlock[]> {
  let request: ReadBlock[] = [];
  let length = 0;
  for (const block of blocks) {
    const [first] = request;
    const full = request.length >= PUT_BLOCKS_MAX || length + block.bytes.length > PUT_BYTES_MAX;
    if (first !== undefined && (full || kindOf(first) !== kindOf(block))) {
      yield request;
      [request, length] = [[], 0];
    }
    request.push(block);
    length += block.bytes.length;
  }
  if (request.length > 0) yield request;
}

/**
 * As `putBlocks`, by `dag/import`: half again as fast, at half of the processor time here and there, but no fetch, of Kubo's
 * or of other nodes that wait for them, hears of the blocks. It decodes them first: what it cannot decode, or does not know, is put as it is.
 */
async function importBlocks(rpc: KuboRpc, blocks: readonly ReadBlock[], signal: AbortSignal): Promise<void> {
  if (!blocks.every(({ cid }) => isKnownCodec(cid))) return await putBlocks(rpc, blocks, signal);
  const query: [string, string][] = [
    ['pin-roots', 'false'],
    ['stats', 'true'],
    // Its own limit is of what others would fetch from it; ours is above.
    ['allow-big-block', 'true'],
  ];
  const body = multipart([[carHeader([]), ...blocks.flatMap(({ cid, bytes }) => carSection(cid, bytes))]]);
  try {
    let count = 0;
    for await (const line of rpc.lines({ command: 'dag/import', query, body, signal })) count += importedBlocks(line);
    // Kubo hashes them itself: that it has counted as many is the proof that it has them.
    if (count === blocks.length) return;
    throw new RpcError('garbled', `of ${blocks.length} blocks the IPFS node has counted ${count}`);
  } catch (cause) {
    if (!isRefusal(cause, undecodable)) throw cause;
    await putBlocks(rpc, blocks, signal);
  }
}

const undecodable = /import failed/;

async function putBlocks(rpc: KuboRpc, blocks: readonly ReadBlock[], signal: AbortSignal): Promise<void> {
  const kindOf = ({ cid: { code, multihash } }: ReadBlock) => `${code} ${multihash.code} ${multihash.digest.length}`;
  for (const request of alike(blocks, kindOf)) await putAlike(rpc, request, signal);
}

/** The two ways in which blocks come into Kubo. */
export const putCalls = { put: putBlocks, import: importBlocks };

/** Of one codec and one hash function. Kubo hashes them itself: that it says the same CIDs is the proof that it has them. */
async function putAlike(rpc: KuboRpc, blocks: readonly ReadBlock[], signal: AbortSignal): Promise<void> {
  const [first] = blocks;
  if (first === undefined) return;
  const { code, digest } = first.cid.multihash;
  const query: [string, string][] = [
    ['cid-codec', `0x${first.cid.code.toString(16)}`],
    ['mhtype', hashers.get(code)?.name ?? ''],
    ['mhlen', `${digest.length}`],
    ['allow-big-block', 'true'],
  ];
  const missing = new Set(blocks.map(({ cid }) => byteString(cid.multihash.bytes)));
  const body = multipart(blocks.map(({ bytes }) => [bytes]));
  for await (const line of rpc.lines({ command: 'block/put', query, body, signal })) {
    missing.delete(byteString(wishCid(putBlockLine(line)).multihash.bytes));
  }
  if (missing.size > 0) {
    throw new RpcError('garbled', `of ${blocks.length} blocks the IPFS node did not confirm ${missing.size}`);
  }
}

/**
 * Which of these blocks the node lacks. A question costs about as much as the putting of a small block, so only who has the first one is
 * asked for the others.
 */
export async function missingBlocks(
  rpc: KuboRpc,
  cids: readonly Uint8Array[],
  signal: AbortSignal,
): Promise<Uint8Array[]> {
  const [first, ...others] = cids;
  if (first === undefined) return [];
  if (!(await isThere(rpc, first, signal))) return [...cids];
  const missing = new Set<Uint8Array>();
  await forEachLimited(others, STATS_AT_ONCE, async (cid) => {
    if (!(await isThere(rpc, cid, signal))) missing.add(cid);
  });
  return others.filter((cid) => missing.has(cid));
}

async function isThere(rpc: KuboRpc, bytes: Uint8Array, signal: AbortSignal): Promise<boolean> {
  const cid = wishCid(bytes);
  if (cid.multihash.code === IDENTITY_CODE) return true;
  try {
    await rpc.one({
      command: 'block/stat',
      query: [
        ['arg', formatCid(cid.bytes)],
        ['offline', 'true'],
      ],
      signal,
    });
    return true;
  } catch (cause) {
    if (isRefusal(cause, notLocal)) return false;
    throw cause;
  }
}

export async function getBlock(rpc: KuboRpc, cid: CID, signal: AbortSignal): Promise<Uint8Array | undefined> {
  try {
    return await readBlock(rpc, cid, { query: [['offline', 'true']], signal });
  } catch (cause) {
    if (isRefusal(cause, notLocal)) return undefined;
    throw cause;
  }
}

/** Has the node ask others for the block, for so long; it keeps it. */
export async function fetchBlock(
  rpc: KuboRpc,
  cid: CID,
  call: { signal: AbortSignal; answerTimeoutMs: number },
): Promise<Uint8Array> {
  try {
    return await readBlock(rpc, cid, { query: [], ...call });
  } catch (cause) {
    // What is run with --offline asks nobody.
    if (isRefusal(cause, notLocal)) throw new ConnectorError('NO_PROVIDER', cause.message, { cause });
    throw cause;
  }
}

async function readBlock(
  rpc: KuboRpc,
  cid: CID,
  { query, ...call }: { query: [string, string][]; signal: AbortSignal; answerTimeoutMs?: number },
): Promise<Uint8Array> {
  if (cid.multihash.code === IDENTITY_CODE) return cid.multihash.digest;
  const arg: [string, string] = ['arg', formatCid(cid.bytes)];
  const bytes = await rpc.bytes({ command: 'block/get', query: [arg, ...query], ...call }, BLOCK_BYTES_MAX);
  try {
    checkBlock(cid, bytes);
  } catch (cause) {
    throw new ConnectorError('FAILED', `the IPFS node has another block than ${formatCid(cid.bytes)} under this CID`, {
      cause,
    });
  }
  return bytes;
}

const notLocal = /not found locally|could not find/;
