import { DAG_PB, RAW } from '../../ipfs/dag/links.ts';
import type { Chunker } from '../chunkers/chunker.ts';
import type { BlockMaker } from './block-maker.ts';
import { type Attributes, encodeLeaf, encodeNode, encodeUnixfs, type Link, UNIXFS } from './encode.ts';

export interface FileForm {
  chunker: Chunker;
  layout: 'balanced' | 'trickle';
  rawLeaves: boolean;
  /** Links of an inner node. */
  linksMax: number;
}

/** A DAG, or part of one, of a file. */
export interface BuiltFile extends Omit<Link, 'name'> {
  /** Of content. */
  fileBytes: number;
}

/** Makes the DAG of a file, in memory for one path through it, as Kubo lays it out (boxo, ipld/unixfs/importer). */
export async function buildFile(
  content: AsyncIterable<Uint8Array>,
  form: FileForm,
  kept: Attributes,
  blocks: BlockMaker,
): Promise<BuiltFile> {
  const builder = new FileBuilder(form, kept, blocks, form.chunker(content));
  try {
    return await (form.layout === 'balanced' ? builder.balanced() : builder.trickle());
  } finally {
    await builder.close();
  }
}

/** Subtrees of each depth, one after the other, in a trickle DAG. */
const TRICKLE_REPEAT = 4;

class FileBuilder {
  readonly #form: FileForm;
  readonly #kept: Attributes;
  readonly #blocks: BlockMaker;
  readonly #chunks: AsyncGenerator<Uint8Array, void, undefined>;
  /** The next one; undefined: not known; 'end': there is none. */
  #next: Uint8Array | 'end' | undefined;

  constructor(
    form: FileForm,
    kept: Attributes,
    blocks: BlockMaker,
    chunks: AsyncGenerator<Uint8Array, void, undefined>,
  ) {
    this.#form = form;
    this.#kept = kept;
    this.#blocks = blocks;
    this.#chunks = chunks;
  }

  /** All leaves at the same depth, each node filled before the next. */
  async balanced(): Promise<BuiltFile> {
    const first = await this.#peek();
    if (first === 'end') return await this.#leaf(new Uint8Array(0), UNIXFS.file, this.#kept);
    this.#next = undefined;
    // Alone it is the file, with what is kept of it.
    const isAlone = (await this.#peek()) === 'end';
    let root = await this.#leaf(first, UNIXFS.file, isAlone ? this.#kept : {});
    for (let depth = 1; (await this.#peek()) !== 'end'; depth++) root = await this.#filled(depth, [root]);
    return root;
  }

  /** Each node has leaves first, then subtrees that become deeper: the content is reached soon from its beginning. */
  trickle(): Promise<BuiltFile> {
    return this.#trickled(Number.POSITIVE_INFINITY, this.#kept);
  }

  async close(): Promise<void> {
    await this.#chunks.return();
  }

  /** `children` are those that it has already: then it may be the root. */
  async #filled(depth: number, children: BuiltFile[] = []): Promise<BuiltFile> {
    const mayBeRoot = children.length > 0;
    while (children.length < this.#form.linksMax && (await this.#peek()) !== 'end') {
      children.push(depth === 1 ? await this.#nextLeaf(UNIXFS.file) : await this.#filled(depth - 1));
    }
    const isRoot = mayBeRoot && (await this.#peek()) === 'end';
    return await this.#node(children, isRoot ? this.#kept : {});
  }

  async #trickled(maxDepth: number, kept: Attributes): Promise<BuiltFile> {
    const children: BuiltFile[] = [];
    while (children.length < this.#form.linksMax && (await this.#peek()) !== 'end') {
      children.push(await this.#nextLeaf(UNIXFS.raw));
    }
    for (let depth = 1; depth < maxDepth && (await this.#peek()) !== 'end'; depth++) {
      for (let turn = 0; turn < TRICKLE_REPEAT && (await this.#peek()) !== 'end'; turn++) {
        children.push(await this.#trickled(depth, {}));
      }
    }
    return await this.#node(children, kept);
  }

  async #peek(): Promise<Uint8Array | 'end'> {
    if (this.#next === undefined) {
      const { done, value } = await this.#chunks.next();
      this.#next = done === true ? 'end' : value;
    }
    return this.#next;
  }

  async #nextLeaf(type: typeof UNIXFS.raw | typeof UNIXFS.file): Promise<BuiltFile> {
    const chunk = await this.#peek();
    if (chunk === 'end') throw new Error('a leaf after the last chunk');
    this.#next = undefined;
    return await this.#leaf(chunk, type, {});
  }

  async #leaf(data: Uint8Array, type: typeof UNIXFS.raw | typeof UNIXFS.file, kept: Attributes): Promise<BuiltFile> {
    const isRaw = this.#form.rawLeaves;
    const bytes = isRaw ? data : encodeLeaf(type, data, kept);
    const cid = await this.#blocks.put(isRaw ? RAW : DAG_PB, bytes);
    return { cid, dagBytes: bytes.length, fileBytes: data.length };
  }

  async #node(children: readonly BuiltFile[], kept: Attributes): Promise<BuiltFile> {
    const blockSizes = children.map(({ fileBytes }) => fileBytes);
    const fileBytes = blockSizes.reduce((sum, size) => sum + size, 0);
    const data = encodeUnixfs({ type: UNIXFS.file, fileSize: fileBytes, blockSizes, ...kept });
    const bytes = encodeNode(
      children.map(({ cid, dagBytes }) => ({ name: '', cid, dagBytes })),
      data,
    );
    const cid = await this.#blocks.put(DAG_PB, bytes);
    return { cid, dagBytes: children.reduce((sum, child) => sum + child.dagBytes, bytes.length), fileBytes };
  }
}
