import { type ImporterOptions, importer } from 'ipfs-unixfs-importer';
import type { CID } from 'multiformats/cid';
import type { TestBlock, TestDag } from './dags.ts';

export interface TestTree extends TestDag {
  /** The CID of a file or directory in it, by its path; that of the root by ''. */
  at(path: string): CID;
}

/** A directory of these files, by the importer that the field uses. */
export async function unixfsTree(files: Record<string, string>, options: ImporterOptions = {}): Promise<TestTree> {
  const blocks = new Map<string, TestBlock>();
  const paths = new Map<string, CID>();
  const store = {
    async put(link: CID, bytes: Uint8Array) {
      blocks.set(link.toString(), { cid: link.bytes, bytes, link });
      return link;
    },
  } as Parameters<typeof importer>[1];
  const source = Object.entries(files).map(([path, text]) => ({ path, content: new TextEncoder().encode(text) }));
  for await (const { path = '', cid } of importer(source, store, { wrapWithDirectory: true, ...options })) {
    paths.set(path, cid);
  }
  const at = (path: string) => {
    const cid = paths.get(path);
    if (cid === undefined) throw new Error(`the tree has no ${path}`);
    return cid;
  };
  const root = blocks.get(at('').toString()) as TestBlock;
  return { root, blocks: [...blocks.values()], at };
}

/** So many small files, by their names. */
export function manyFiles(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, at) => [`file ${at} ü.txt`, `content ${at}`]));
}

/** A directory of 1,500 names, which is sharded, two levels deep in places. */
export function shardedTree(): Promise<TestTree> {
  return unixfsTree(manyFiles(1_500), { shardSplitThresholdBytes: 1_000 });
}
