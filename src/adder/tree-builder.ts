import { invalidField } from '../model/errors.ts';
import { ADD_NAMES_HELD_MAX } from './constants.ts';
import { badPath } from './entry-path.ts';
import type { BlockMaker } from './unixfs/block-maker.ts';
import { buildDirectory, type DirectoryForm } from './unixfs/directory-builder.ts';
import type { Attributes, Link } from './unixfs/encode.ts';

/** A directory that is made; its path has `/` between the names, and the wrapping one's is ''. */
export interface BuiltDirectory extends Omit<Link, 'name'> {
  path: string;
}

interface OpenDirectory {
  names: readonly string[];
  /** By name, in the order in which they came. */
  links: Map<string, Link>;
  kept: Attributes;
}

/**
 * Puts entries into their directories. Those of one directory come together, with what is in its own directories: when one comes that lies
 * elsewhere, the directory is made and forgotten. So only the names in the directories on one path are held.
 */
export class TreeBuilder {
  readonly #form: DirectoryForm;
  readonly #blocks: BlockMaker;
  /** From the top down: each in the one before. */
  readonly #open: OpenDirectory[] = [{ names: [], links: new Map(), kept: {} }];
  #namesHeld = 0;

  constructor(form: DirectoryForm, blocks: BlockMaker) {
    this.#form = form;
    this.#blocks = blocks;
  }

  /** Goes to the directory in which the entry of these names is to lie, and yields those that were left for it. */
  async *goTo(names: readonly string[]): AsyncGenerator<BuiltDirectory> {
    const parents = names.slice(0, -1);
    let shared = 0;
    while (shared < parents.length && this.#open[shared + 1]?.names.at(-1) === parents[shared]) shared++;
    while (this.#open.length - 1 > shared) yield await this.#close();
    for (let depth = shared; depth < parents.length; depth++) this.#enter(names.slice(0, depth + 1), {});
    this.#checkFree(names);
  }

  /** What is kept of the directory around everything. */
  wrapping(kept: Attributes): void {
    (this.#open[0] as OpenDirectory).kept = kept;
  }

  /** A directory where `goTo` has led; what is in it may follow. */
  directory(names: readonly string[], kept: Attributes): void {
    this.#enter(names, kept);
  }

  /** A file or link, made, where `goTo` has led. */
  put(names: readonly string[], link: Omit<Link, 'name'>): void {
    this.#hold();
    const name = names.at(-1) as string;
    this.#here.links.set(name, { name, ...link });
  }

  /** No more entries: yields all directories that are open, and with `wrap` the one around everything. */
  async *end(wrap: boolean): AsyncGenerator<BuiltDirectory> {
    while (this.#open.length > 1) yield await this.#close();
    if (wrap) yield { path: '', ...(await this.#build(this.#here)) };
  }

  get #here(): OpenDirectory {
    return this.#open.at(-1) as OpenDirectory;
  }

  #enter(names: readonly string[], kept: Attributes): void {
    this.#checkFree(names);
    this.#hold();
    this.#open.push({ names, links: new Map(), kept });
  }

  #checkFree(names: readonly string[]): void {
    if (!this.#here.links.has(names.at(-1) as string)) return;
    const path = names.join('/');
    throw badPath(path, 'was there before; the entries of a directory must follow each other, and come after it');
  }

  #hold(): void {
    if (++this.#namesHeld <= ADD_NAMES_HELD_MAX) return;
    throw invalidField('entries', `more than ${ADD_NAMES_HELD_MAX} names in the directories on one path`);
  }

  async #close(): Promise<BuiltDirectory> {
    const directory = this.#open.pop() as OpenDirectory;
    const built = await this.#build(directory);
    const name = directory.names.at(-1) as string;
    this.#here.links.set(name, { name, ...built });
    return { path: directory.names.join('/'), ...built };
  }

  async #build({ links, kept }: OpenDirectory): Promise<Omit<Link, 'name'>> {
    this.#namesHeld -= links.size;
    return await buildDirectory([...links.values()], this.#form, kept, this.#blocks);
  }
}
