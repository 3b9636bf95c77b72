import { PieceReader } from '../piece-reader.ts';
import type { Chunker } from './chunker.ts';

/** Pieces of so many bytes, the last one shorter. */
export function fixedSize(bytes: number): Chunker {
  return async function* chunks(content) {
    const reader = new PieceReader(content);
    try {
      for (;;) {
        const chunk = await reader.take(bytes);
        if (chunk.length > 0) yield chunk;
        if (chunk.length < bytes) return;
      }
    } finally {
      await reader.close();
    }
  };
}
