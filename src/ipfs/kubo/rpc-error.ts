/**
 *   absent        nothing listens there, the connection broke, or the answer did not come in time
 *   unauthorized  it wants other credentials than it was given (401, 403)
 *   foreign       what answers is not the RPC of Kubo: a page, a redirect, another status, a broken proxy behind it
 *   garbled       it is, but the answer breaks its own rules: bad JSON, a line over the limit, an end without its last word
 *   refused       Kubo's own words that it could not do it; also when they come after a good beginning, in the trailer
 */
export type RpcErrorKind = 'absent' | 'unauthorized' | 'foreign' | 'garbled' | 'refused';

export class RpcError extends Error {
  readonly kind: RpcErrorKind;

  constructor(kind: RpcErrorKind, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'RpcError';
    this.kind = kind;
  }
}

export function isRefusal(failure: unknown, words: RegExp): failure is RpcError {
  return failure instanceof RpcError && failure.kind === 'refused' && words.test(failure.message);
}
