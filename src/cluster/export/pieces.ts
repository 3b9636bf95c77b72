/** The same bytes, none of the pieces above `bytesMax`. */
export function* cut(bytes: Uint8Array, bytesMax: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += bytesMax) yield bytes.subarray(at, at + bytesMax);
}

/** The same bytes in pieces of about `gatherBytes`, larger ones where they came so, none above `bytesMax`. */
export async function* inPieces(
  pieces: AsyncIterable<Uint8Array>,
  { gatherBytes, bytesMax }: { gatherBytes: number; bytesMax: number },
): AsyncGenerator<Uint8Array> {
  let gathered: Uint8Array[] = [];
  let bytes = 0;
  function* flush(): Generator<Uint8Array> {
    const piece = gathered.length === 1 ? (gathered[0] as Uint8Array) : Buffer.concat(gathered, bytes);
    gathered = [];
    bytes = 0;
    yield* cut(piece, bytesMax);
  }
  for await (const piece of pieces) {
    gathered.push(piece);
    bytes += piece.length;
    if (bytes >= gatherBytes) yield* flush();
  }
  if (bytes > 0) yield* flush();
}
