/** Cuts content into the pieces that become the leaves of a file. Every byte once, in order; no empty pieces. */
export type Chunker = (content: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array, void, undefined>;
