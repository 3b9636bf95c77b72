import { createHash } from 'node:crypto';
import * as dagCbor from '@ipld/dag-cbor';
import * as dagPb from '@ipld/dag-pb';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import type { Block } from '../../src/ipfs/connector.ts';

/** A block with its CID of version 1, and small DAGs of them. */
export interface TestBlock extends Block {
  link: CID;
}

export interface TestDag {
  root: TestBlock;
  /** All blocks, the root last, none twice. */
  blocks: TestBlock[];
}

export const RAW = 0x55;
export const DAG_PB = 0x70;
export const DAG_CBOR = 0x71;
export const DAG_JSON = 0x0129;

export function block(code: number, bytes: Uint8Array): TestBlock {
  const digest = createDigest(0x12, createHash('sha256').update(bytes).digest());
  const link = CID.createV1(code, digest);
  return { cid: link.bytes, bytes, link };
}

export function leaf(text: string): TestBlock {
  return block(RAW, new TextEncoder().encode(text));
}

export function pbNode(children: readonly TestBlock[]): TestBlock {
  const links = children.map((child, at) => ({ Hash: child.link, Name: `${at}`.padStart(6, '0'), Tsize: 1 }));
  return block(DAG_PB, dagPb.encode({ Links: links, Data: Uint8Array.of(8, 1) }));
}

export function cborNode(children: readonly TestBlock[]): TestBlock {
  return block(DAG_CBOR, dagCbor.encode({ nested: [{ children: children.map((child) => child.link) }], 'a/': null }));
}

export function jsonNode(children: readonly TestBlock[]): TestBlock {
  const value = {
    children: children.map((child) => ({ '/': child.link.toString() })),
    bytes: { '/': { bytes: 'AQ' } },
  };
  return block(DAG_JSON, new TextEncoder().encode(JSON.stringify(value)));
}

/** Three levels, every codec that can be walked, one leaf that is there twice. `name` makes it another DAG. */
export function dag(name: string): TestDag {
  const leaves = ['a', 'b', 'c', 'd', 'e'].map((text) => leaf(`${name} ${text}`));
  const [a, b, c, d, e] = leaves as [TestBlock, TestBlock, TestBlock, TestBlock, TestBlock];
  const inner = [pbNode([a, b]), cborNode([c, a]), jsonNode([d, e])];
  const root = pbNode(inner);
  return { root, blocks: [...leaves, ...inner, root] };
}

/** A root with so many leaves of so many bytes. */
export function wideDag(name: string, count: number, bytes: number): TestDag {
  const leaves = Array.from({ length: count }, (_, at) => leaf(`${name} ${at} `.padEnd(bytes, '.')));
  const root = pbNode(leaves);
  return { root, blocks: [...leaves, root] };
}

export function version0(of: TestBlock): Uint8Array {
  return of.link.toV0().bytes;
}
