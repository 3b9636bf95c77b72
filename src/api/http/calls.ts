import { Code, ConnectError, type HandlerContext } from '@connectrpc/connect';
import { type ErrorCode, PinfoldError } from '../../model/errors.ts';
import { errorDetails, statusCode } from '../../model/google-status.ts';
import { iterateUntil, raceSignal } from '../../runtime/abort.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { CallScope, CallScopes } from '../call-scope.ts';
import { publicError } from '../errors.ts';
import type { MountedMethod } from '../handlers.ts';
import type { ApiMetrics } from '../metrics.ts';
import { requestsUntil } from '../streams.ts';

export interface HttpCallNeeds {
  scopes: CallScopes;
  logger: Logger;
  metrics: ApiMetrics;
  /** A request has come as far as its handler. */
  reached: (context: HandlerContext) => void;
}

/** One handler as Connect's router takes it. */
export function implementationOf(method: MountedMethod, needs: HttpCallNeeds) {
  const name = `${method.desc.parent.name}/${method.desc.name}`;
  switch (method.kind) {
    case 'unary':
      return async (request: unknown, context: HandlerContext) => {
        const scope = openScope(context, needs);
        try {
          const response = await raceSignal(method.handle(request, scope.context), scope.context.signal);
          needs.metrics.called(name, 'OK');
          return response;
        } catch (error) {
          needs.metrics.called(name, publicError(error).code);
          throw connectError(error, name, needs);
        } finally {
          scope.end();
        }
      };
    case 'server_streaming':
      return (request: unknown, context: HandlerContext) =>
        answers(context, name, needs, (scope) => method.handle(request, scope.context));
    case 'bidi_streaming':
      return (requests: AsyncIterable<unknown>, context: HandlerContext) =>
        answers(context, name, needs, ({ context: call }) => {
          const incoming = requestsUntil(requests[Symbol.asyncIterator](), call.signal, requestFailure);
          return method.handle(incoming, call);
        });
  }
}

async function* answers(
  context: HandlerContext,
  name: string,
  needs: HttpCallNeeds,
  handle: (scope: CallScope) => AsyncIterable<unknown>,
): AsyncIterable<unknown> {
  const scope = openScope(context, needs);
  let code: 'OK' | ErrorCode = 'CANCELLED';
  try {
    yield* iterateUntil(handle(scope), scope.context.signal);
    code = 'OK';
  } catch (error) {
    code = publicError(error).code;
    throw connectError(error, name, needs);
  } finally {
    // Also when the reader has left, which looks like a `return` from here.
    needs.metrics.called(name, code);
    scope.end();
  }
}

function openScope(context: HandlerContext, needs: HttpCallNeeds): CallScope {
  needs.reached(context);
  const left = context.timeoutMs();
  const credentials = context.requestHeader.get('authorization') ?? undefined;
  const scope = needs.scopes.open(credentials, left === undefined ? undefined : needs.scopes.deadlineIn(left));
  if (context.signal.aborted) scope.cancel();
  else context.signal.addEventListener('abort', () => scope.cancel(), { once: true });
  return scope;
}

/** What Connect says of a message that it cannot read, in our words. */
function requestFailure(cause: unknown): PinfoldError {
  const { code, rawMessage } = ConnectError.from(cause);
  // `Internal`: bytes that are not the message, or not compressed as was said.
  if (code === Code.InvalidArgument || code === Code.Internal)
    return new PinfoldError('INVALID_ARGUMENT', rawMessage, { cause });
  if (code === Code.ResourceExhausted) return new PinfoldError('LIMIT_REACHED', rawMessage, { cause });
  return new PinfoldError('CANCELLED', 'the caller has gone away', { cause });
}

function connectError(error: unknown, name: string, needs: HttpCallNeeds): ConnectError {
  const shown = publicError(error);
  if (shown.code === 'INTERNAL') needs.logger.error('a call failed unexpectedly', { method: name, error });
  const failure = new ConnectError(shown.message, statusCode(shown) satisfies Code as Code);
  failure.details = errorDetails(shown).map(({ typeUrl, value }) => ({ type: typeUrl.split('/').at(-1) ?? '', value }));
  return failure;
}
