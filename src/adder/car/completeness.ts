import { CID } from 'multiformats/cid';
import { CID_BYTES_MAX } from '../../ipfs/constants.ts';
import { DigestSet } from '../../ipfs/dag/digest-set.ts';
import { IDENTITY_CODE } from '../../ipfs/dag/hashers.ts';
import { isKnownCodec, isLeaf, linksOf, RAW } from '../../ipfs/dag/links.ts';
import { byteString } from '../../model/bytes.ts';
import { formatCid, toV1 } from '../../model/cid.ts';
import { invalidField } from '../../model/errors.ts';
import { CAR_AWAITED_MAX, CAR_BLOCKS_MAX, CAR_LINKS_MAX, CAR_MISSING_NAMED } from '../constants.ts';

/** What is kept in memory. Above: RangeError. */
export interface CompletenessLimits {
  blocksMax: number;
  awaitedMax: number;
  linksMax: number;
}

const limitsOfOne: CompletenessLimits = {
  blocksMax: CAR_BLOCKS_MAX,
  awaitedMax: CAR_AWAITED_MAX,
  linksMax: CAR_LINKS_MAX,
};

/**
 * Whether all blocks below the roots have come, in whatever order. A block costs some 32 bytes of memory, and its links besides until both what
 * links to it and what it links to have come: few where a DAG comes from its root on or from its leaves up, some of it where blocks are shuffled.
 */
export class Completeness {
  /** What something below a root links to and has not come; and the codec that it was linked to by. */
  readonly #awaited = new Map<string, number>();
  readonly #came: DigestSet;
  /** Of blocks that came before anything below a root linked to them: their links, unless all below these has come, too. */
  readonly #early = new Map<string, Uint8Array>();
  #earlyLinks = 0;
  readonly #limits: CompletenessLimits;
  /** A block below a root of which nobody can tell what it links to. */
  #unknown: CID | undefined;

  /** Throws as `came`, of roots that have their content in them. */
  constructor(roots: readonly CID[], limits = limitsOfOne) {
    this.#limits = limits;
    this.#came = new DigestSet(limits.blocksMax);
    this.#await(roots);
  }

  /** Throws ConnectorError for a block that cannot be decoded, RangeError when there are too many. */
  came(cid: CID, bytes: Uint8Array): void {
    // What links to one of these looks into the CID; that it came as a block, too, says nothing.
    if (cid.multihash.code === IDENTITY_CODE) return;
    const key = keyOf(cid);
    if (!this.#came.add(key)) return;
    const isAwaited = this.#awaited.delete(byteString(key));
    if (isLeaf(cid)) return;
    this.#cameAsLeaf(cid);
    const links = linksBelow(cid, bytes);
    if (isAwaited) this.#below(cid, links);
    else this.#keep(byteString(key), links);
  }

  /** To be called when all blocks came. Throws INVALID_ARGUMENT naming what is missing. */
  check(): void {
    const missing = this.#awaited.size;
    if (missing > 0) {
      const named = [...this.#awaited].slice(0, CAR_MISSING_NAMED).map(nameOf);
      const more = missing > named.length ? ` and ${missing - named.length} more` : '';
      const are = missing === 1 ? '1 block below its roots is' : `${missing} blocks below its roots are`;
      throw invalidField('data', `the CAR is not complete: ${are} missing: ${named.join(', ')}${more}`);
    }
    if (this.#unknown !== undefined) {
      const { bytes, code } = this.#unknown;
      throw invalidField(
        'data',
        `${formatCid(bytes)} below a root has the codec 0x${code.toString(16)}: no node here can tell what it links to, so nothing above it can be pinned`,
      );
    }
  }

  /** A block without links is there when its bytes are, whatever they came as. */
  #cameAsLeaf(cid: CID): void {
    const key = leafKey(cid);
    this.#came.add(key);
    this.#awaited.delete(byteString(key));
  }

  #keep(text: string, links: readonly CID[]): void {
    const open = new Map<string, Uint8Array>();
    for (const link of links) if (this.#isOpen(link)) open.set(byteString(keyOf(link)), toV1(link.bytes));
    if (open.size === 0) return;
    this.#earlyLinks += 1 + open.size;
    const { linksMax } = this.#limits;
    if (this.#earlyLinks > linksMax) {
      throw new RangeError(`more than ${linksMax} blocks and links that came before what links to them`);
    }
    this.#early.set(text, packed(open.values()));
  }

  /** Whether there is anything left to be found out about what that leads to. */
  #isOpen(link: CID): boolean {
    if (!isKnownCodec(link)) return true;
    if (link.multihash.code === IDENTITY_CODE) return !isLeaf(link);
    const key = keyOf(link);
    return !this.#came.has(key) || this.#early.has(byteString(key));
  }

  /** That block is there and lies below a root. */
  #below(cid: CID, links: readonly CID[]): void {
    if (!isKnownCodec(cid)) this.#unknown ??= cid;
    this.#await(links);
  }

  #await(links: readonly CID[]): void {
    const pending = links.toReversed();
    for (let cid = pending.pop(); cid !== undefined; cid = pending.pop()) {
      // One by one: so many arguments as there may be links here no call takes.
      for (const link of this.#awaitOne(cid)) pending.push(link);
    }
  }

  /** What it leads on to, of what is here already. */
  #awaitOne(cid: CID): Iterable<CID> {
    const isIdentity = cid.multihash.code === IDENTITY_CODE;
    if (isIdentity && isLeaf(cid)) return [];
    const key = keyOf(cid);
    const text = byteString(key);
    if (isIdentity) {
      if (!this.#came.add(key)) return [];
      if (!isKnownCodec(cid)) this.#unknown ??= cid;
      return linksBelow(cid, cid.multihash.digest);
    }
    if (!this.#came.has(key)) {
      this.#awaited.set(text, cid.code);
      const { awaitedMax } = this.#limits;
      if (this.#awaited.size > awaitedMax) throw new RangeError(`more than ${awaitedMax} blocks are awaited`);
      return [];
    }
    if (!isKnownCodec(cid)) this.#unknown ??= cid;
    const early = this.#early.get(text);
    if (early === undefined) return [];
    this.#early.delete(text);
    const further = unpacked(early);
    this.#earlyLinks -= 1 + further.length;
    return further;
  }
}

function linksBelow(cid: CID, bytes: Uint8Array): CID[] {
  if (!isKnownCodec(cid)) return [];
  const links = linksOf(cid, bytes);
  const long = links.find(({ byteLength }) => byteLength > CID_BYTES_MAX);
  if (long === undefined) return links;
  throw new RangeError(`links to a CID of ${long.byteLength} bytes; at most ${CID_BYTES_MAX} are taken`);
}

/** What has no links counts by its multihash, whatever its codec is called; what has by its whole CID. */
function keyOf(cid: CID): Uint8Array {
  return isLeaf(cid) ? leafKey(cid) : toV1(cid.bytes);
}

function leafKey(cid: CID): Uint8Array {
  return CID.createV1(RAW, cid.multihash).bytes;
}

function nameOf([key, codec]: [string, number]): string {
  const { multihash } = CID.decode(Buffer.from(key, 'latin1'));
  return formatCid(CID.createV1(codec, multihash).bytes);
}

/** CIDs in one piece, each after its length: an array of them would cost 200 bytes more for each. */
function packed(cids: Iterable<Uint8Array>): Uint8Array {
  return Buffer.concat([...cids].flatMap((cid) => [Uint8Array.of(cid.length), cid]));
}

function unpacked(bytes: Uint8Array): CID[] {
  const cids: CID[] = [];
  for (let at = 0; at < bytes.length; at += 1 + (bytes[at] as number)) {
    cids.push(CID.decode(bytes.subarray(at + 1, at + 1 + (bytes[at] as number))));
  }
  return cids;
}
