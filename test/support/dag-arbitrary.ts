import * as dagCbor from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';
import { block, cborNode, DAG_CBOR, jsonNode, leaf, pbNode, type TestBlock } from '../suites/dags.ts';
import { fc } from './fast-check.ts';

export interface RandomDag {
  roots: TestBlock[];
  /** Those that can be in a CAR, each once, shuffled. */
  blocks: TestBlock[];
  /** Of `blocks`: what lies below a root. */
  reachable: Set<TestBlock>;
}

interface Shape {
  kind: 'raw' | 'cbor-leaf' | 'dag-pb' | 'dag-cbor' | 'dag-json' | 'identity';
  /** Which of those made before it links to. */
  links: number[];
}

const shape = fc.record<Shape>({
  kind: fc.constantFrom('raw', 'cbor-leaf', 'dag-pb', 'dag-cbor', 'dag-json', 'identity'),
  links: fc.array(fc.nat(), { maxLength: 4 }),
});

/** A handful of blocks of every kind, some below a root and some not. */
export const randomDag: fc.Arbitrary<RandomDag> = fc
  .tuple(fc.array(shape, { minLength: 1, maxLength: 25 }), fc.array(fc.nat(), { minLength: 1, maxLength: 3 }))
  .chain(([shapes, rootsAt]) => {
    const made = madeOf(shapes);
    const roots = [...new Set(rootsAt.map((at) => (made[at % made.length] as Made).block))];
    const stored = made.filter(({ kind }) => kind !== 'identity');
    const reachable = below(roots, made);
    return fc.shuffledSubarray(stored, { minLength: stored.length }).map((shuffled) => ({
      roots,
      blocks: shuffled.map(({ block }) => block),
      reachable: new Set(stored.map(({ block }) => block).filter((each) => reachable.has(each))),
    }));
  });

interface Made {
  kind: Shape['kind'];
  block: TestBlock;
  children: TestBlock[];
}

function madeOf(shapes: readonly Shape[]): Made[] {
  const made = new Map<string, Made>();
  for (const [at, { kind, links }] of shapes.entries()) {
    const earlier = [...made.values()];
    const children = earlier.length === 0 ? [] : links.map((link) => (earlier[link % earlier.length] as Made).block);
    const each = madeOne(kind, at, children);
    const key = each.block.link.toString();
    if (!made.has(key)) made.set(key, each);
  }
  return [...made.values()];
}

function madeOne(kind: Shape['kind'], at: number, children: TestBlock[]): Made {
  switch (kind) {
    case 'raw':
      return { kind, block: leaf(`leaf ${at}`), children: [] };
    case 'cbor-leaf':
      return { kind, block: block(0x51, Uint8Array.of(0x18, 0x40 + at)), children: [] };
    case 'dag-pb':
      return { kind, block: pbNode(children), children };
    case 'dag-cbor':
      return { kind, block: cborNode(children), children };
    case 'dag-json':
      return { kind, block: jsonNode(children), children };
    case 'identity': {
      const bytes = dagCbor.encode(children.map(({ link }) => link));
      const link = CID.createV1(DAG_CBOR, createDigest(0, bytes));
      if (link.byteLength > 255) return madeOne('dag-cbor', at, children);
      return { kind, block: { cid: link.bytes, bytes, link }, children };
    }
  }
}

function below(roots: readonly TestBlock[], made: readonly Made[]): Set<TestBlock> {
  const children = new Map(made.map((each) => [each.block, each.children]));
  const seen = new Set<TestBlock>();
  const pending = [...roots];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    pending.push(...(children.get(next) ?? []));
  }
  return seen;
}
