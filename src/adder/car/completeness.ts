import { CID } from 'multiformats/cid';
import { DigestSet } from '../../ipfs/dag/digest-set.ts';
import { IDENTITY_CODE } from '../../ipfs/dag/hashers.ts';
import { isKnownCodec, isLeaf, linksOf } from '../../ipfs/dag/links.ts';
import { byteString } from '../../model/bytes.ts';
import { formatCid, toV1 } from '../../model/cid.ts';
import { invalidField } from '../../model/errors.ts';
import { CAR_AWAITED_MAX, CAR_BLOCKS_MAX, CAR_LINKS_MAX, CAR_MISSING_NAMED } from '../constants.ts';

/**
 * Whether all blocks below the roots have come, in whatever order. Blocks that follow what links to them cost 16 bytes of memory; the links of
 * those that come first are kept until something links to them.
 */
export class Completeness {
  /** CIDs that something below a root links to and that have not come, as byte strings in version 1. */
  readonly #awaited = new Set<string>();
  readonly #came = new DigestSet(CAR_BLOCKS_MAX);
  /** Links, in version 1, of blocks that came before anything below a root linked to them. */
  readonly #early = new Map<string, Uint8Array[]>();
  #earlyLinks = 0;
  /** A block below a root of which nobody can tell what it links to. */
  #unknown: CID | undefined;

  constructor(roots: readonly CID[]) {
    this.#await(roots);
  }

  /** Throws ConnectorError for a block that cannot be decoded, RangeError when there are too many. */
  came(cid: CID, bytes: Uint8Array): void {
    const key = keyOf(cid);
    if (!this.#came.add(key)) return;
    const links = this.#linksOf(cid, bytes);
    if (this.#awaited.delete(byteString(key))) {
      this.#below(cid, links);
      return;
    }
    if (isLeaf(cid)) return;
    this.#earlyLinks += links.length;
    if (this.#earlyLinks > CAR_LINKS_MAX)
      throw new RangeError(`more than ${CAR_LINKS_MAX} links of blocks that came first`);
    this.#early.set(
      byteString(key),
      links.map((link) => toV1(link.bytes)),
    );
  }

  /** To be called when all blocks came. Throws INVALID_ARGUMENT naming what is missing. */
  check(): void {
    if (this.#awaited.size > 0) {
      const named = [...this.#awaited].slice(0, CAR_MISSING_NAMED).map((key) => formatCid(Buffer.from(key, 'latin1')));
      const more = this.#awaited.size > named.length ? ` and ${this.#awaited.size - named.length} more` : '';
      throw invalidField(
        'data',
        `the CAR is not complete: ${this.#awaited.size} blocks below its roots are missing: ${named.join(', ')}${more}`,
      );
    }
    if (this.#unknown !== undefined) {
      const { bytes, code } = this.#unknown;
      throw invalidField(
        'data',
        `${formatCid(bytes)} below a root has the codec 0x${code.toString(16)}: no node here can tell what it links to, so nothing above it can be pinned`,
      );
    }
  }

  #linksOf(cid: CID, bytes: Uint8Array): CID[] {
    return isKnownCodec(cid) ? linksOf(cid, bytes) : [];
  }

  /** That block is there and lies below a root. */
  #below(cid: CID, links: readonly CID[]): void {
    if (!isKnownCodec(cid)) this.#unknown ??= cid;
    this.#await(links);
  }

  #await(links: readonly CID[]): void {
    const pending: CID[] = [...links];
    for (let cid = pending.pop(); cid !== undefined; cid = pending.pop()) {
      const key = keyOf(cid);
      const text = byteString(key);
      if (cid.multihash.code === IDENTITY_CODE) {
        if (!this.#came.add(key)) continue;
        if (!isKnownCodec(cid)) this.#unknown ??= cid;
        pending.push(...this.#linksOf(cid, cid.multihash.digest));
        continue;
      }
      if (!this.#came.has(key)) {
        this.#awaited.add(text);
        if (this.#awaited.size > CAR_AWAITED_MAX)
          throw new RangeError(`more than ${CAR_AWAITED_MAX} blocks are awaited`);
        continue;
      }
      if (!isKnownCodec(cid)) this.#unknown ??= cid;
      const early = this.#early.get(text);
      if (early === undefined) continue;
      this.#early.delete(text);
      this.#earlyLinks -= early.length;
      pending.push(...early.map((bytes) => CID.decode(bytes)));
    }
  }
}

/** What has no links counts by its multihash, whatever its codec is called; what has by its whole CID. */
function keyOf(cid: CID): Uint8Array {
  return isLeaf(cid) ? CID.createV1(0x55, cid.multihash).bytes : toV1(cid.bytes);
}
