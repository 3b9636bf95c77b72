import { LINE_BYTES_MAX } from './constants.ts';
import { RpcError } from './rpc-error.ts';

/** The JSON values of a stream of lines, in constant memory. Rejects with RpcError 'garbled'. */
export async function* jsonLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<unknown> {
  let pieces: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      const piece = chunk.subarray(from, end);
      from = end + 1;
      if (length + piece.length > LINE_BYTES_MAX) throw tooLong();
      const line = pieces.length === 0 ? piece : Buffer.concat([...pieces, piece]);
      [pieces, length] = [[], 0];
      if (line.length > 0) yield parsed(line);
    }
    if (from === chunk.length) continue;
    pieces.push(chunk.subarray(from));
    length += chunk.length - from;
    if (length > LINE_BYTES_MAX) throw tooLong();
  }
  if (length > 0) yield parsed(Buffer.concat(pieces));
}

function parsed(line: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString('utf8'));
  } catch (cause) {
    throw new RpcError('garbled', 'the IPFS node answered with something that is not JSON', { cause });
  }
}

function tooLong(): RpcError {
  return new RpcError('garbled', `the IPFS node answered with a line of more than ${LINE_BYTES_MAX} bytes`);
}
