import { raceSignal } from '../runtime/abort.ts';

/**
 * What a client sends, as a handler reads it. Leaving the loop neither waits for more nor closes the source: that is the door's, and the
 * answer may still have to go out the same way. An abort ends the reading with its reason; other failures of the source become what
 * `failureOf` makes of them.
 */
export function requestsUntil<T>(
  source: AsyncIterator<T>,
  signal: AbortSignal,
  failureOf: (cause: unknown) => unknown,
): AsyncIterable<T> {
  let isLeft = false;
  const iterator: AsyncIterator<T> = {
    async next() {
      if (isLeft) return { done: true, value: undefined };
      return raceSignal(source.next(), signal).catch((cause) => {
        throw signal.aborted ? signal.reason : failureOf(cause);
      });
    },
    async return() {
      isLeft = true;
      return { done: true, value: undefined };
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}

/** What a handler answers, ended by an abort whatever the handler does. */
export async function* responsesUntil(responses: AsyncIterable<unknown>, signal: AbortSignal): AsyncIterable<unknown> {
  const iterator = responses[Symbol.asyncIterator]();
  let isOver = false;
  try {
    for (;;) {
      const next = await raceSignal(iterator.next(), signal);
      if (next.done === true) {
        isOver = true;
        return;
      }
      yield next.value;
    }
  } finally {
    // Not awaited: a handler that hangs must not keep its caller from hearing of the deadline.
    if (!isOver) iterator.return?.()?.catch(() => {});
  }
}
