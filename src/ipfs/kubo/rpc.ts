import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { errors, Pool } from 'undici';
import type { Clock, Timer, Timers } from '../../runtime/clock.ts';
import { authorization, type RpcAddress } from './address.ts';
import {
  ANSWER_TIMEOUT_MS,
  ERROR_BYTES_MAX,
  OPEN_TIMEOUT_MS,
  SILENCE_TIMEOUT_MS,
  SOCKET_IDLE_MS,
} from './constants.ts';
import { Exchange } from './exchange.ts';
import { jsonLines } from './json-lines.ts';
import type { KuboMetrics } from './metrics.ts';
import { RpcError } from './rpc-error.ts';

export interface RpcInit {
  address: RpcAddress;
  /** `basic:USER:PASSWORD` or `bearer:TOKEN`. */
  auth?: string | undefined;
  tls?: RpcTls | undefined;
}

/** Files in PEM. */
export interface RpcTls {
  /** Whom to believe, in place of the system's authorities. */
  caFile?: string | undefined;
  /** With its key: shown to a server that asks for one. */
  certFile?: string | undefined;
  keyFile?: string | undefined;
}

export interface RpcNeeds {
  timers: Timers;
  clock: Clock;
  metrics: KuboMetrics;
  /**
   * A connection ended: what answers the next time may be another node. `unasked`: the other side ended one that was kept
   * for further calls, so that perhaps no call tells of it.
   */
  onConnectionEnd: (end: { unasked: boolean }) => void;
}

export interface RpcCall {
  /** 'pin/add' */
  command: string;
  query?: readonly [string, string][];
  body?: { contentType: string; bytes: readonly Uint8Array[] };
  signal: AbortSignal;
  /** Until the answer begins. */
  answerTimeoutMs?: number;
  /** Between two pieces of it. */
  silenceTimeoutMs?: number;
}

/**
 * Kubo's RPC (https://docs.ipfs.tech/reference/kubo/rpc/) over undici's pool: `fetch` shows no trailers, in which Kubo tells
 * that a stream failed after its beginning, and knows no unix sockets. An answer counts as whole only if its last chunk
 * came and no trailer says otherwise. Rejects with RpcError, or with the reason of the signal.
 */
export class KuboRpc {
  readonly #address: RpcAddress;
  readonly #needs: RpcNeeds;
  readonly #headers: Record<string, string>;
  readonly #pool: Pool;
  /** Failures of connections that a call has been told of. */
  readonly #told = new WeakSet<object>();

  /** Throws when a file of `tls` cannot be read or is none, or `auth` has no known form. */
  constructor({ address, auth, tls }: RpcInit, needs: RpcNeeds) {
    this.#address = address;
    this.#needs = needs;
    this.#headers = auth === undefined ? {} : { authorization: authorization(auth) };
    const { host, port, socketPath } = address;
    const name = host.includes(':') ? `[${host}]` : host;
    this.#pool = new Pool(`${address.tls ? 'https' : 'http'}://${name}:${port}`, {
      connect: {
        timeout: OPEN_TIMEOUT_MS,
        ...(socketPath !== undefined && { socketPath }),
        ...(address.tls && tlsOf(tls)),
      },
      allowH2: false,
      keepAliveTimeout: SOCKET_IDLE_MS,
      keepAliveMaxTimeout: SOCKET_IDLE_MS,
      // We have our own, by call.
      ...{ headersTimeout: 0, bodyTimeout: 0 },
    });
    this.#pool.on('disconnect', (_origin, _targets, error) =>
      needs.onConnectionEnd({ unasked: !byUs.has(error.code) && !this.#told.has(error) }),
    );
  }

  /** Cuts every connection. */
  close(): void {
    this.#pool.destroy().catch(() => {});
  }

  /** The one value that the answer consists of. */
  async one(call: RpcCall): Promise<unknown> {
    let value: unknown;
    let count = 0;
    for await (const line of this.lines(call)) {
      value = line;
      if (++count > 1) break;
    }
    if (count !== 1) throw new RpcError('garbled', `the IPFS node answered ${call.command} with other than one value`);
    return value;
  }

  /** The values of the answer as they come. Ends only when the answer was whole. */
  lines(call: RpcCall): AsyncGenerator<unknown> {
    return jsonLines(this.#chunks(call));
  }

  /** An answer that is no JSON, of at most so many bytes. */
  async bytes(call: RpcCall, bytesMax: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of this.#chunks(call)) {
      length += chunk.length;
      if (length > bytesMax) throw new RpcError('garbled', `the IPFS node answered with more than ${bytesMax} bytes`);
      chunks.push(chunk);
    }
    const { buffer, byteOffset } = Buffer.concat(chunks);
    return new Uint8Array(buffer, byteOffset, length);
  }

  async *#chunks(call: RpcCall): AsyncGenerator<Uint8Array> {
    const { clock, metrics, timers } = this.#needs;
    const { command } = call;
    const sinceMs = clock.monotonicMs();
    const silence = new Watchdog(timers);
    let outcome = 'ended';
    let exchange: Exchange | undefined;
    const onAbort = () => exchange?.giveUp(call.signal.reason);
    call.signal.addEventListener('abort', onAbort);
    const begin = () => {
      call.signal.throwIfAborted();
      exchange = this.#asked(call);
      return exchange;
    };
    try {
      const begun = await this.#begun(call, begin, silence);
      for (;;) {
        if (!begun.isReady) {
          silence.arm(begun, call.silenceTimeoutMs ?? SILENCE_TIMEOUT_MS, `fell silent in its answer to ${command}`);
        }
        const chunk = await begun.chunk();
        silence.cancel();
        if (chunk === undefined) break;
        yield chunk;
      }
      const failure = begun.trailers?.['x-stream-error'];
      if (failure !== undefined) throw new RpcError('refused', String(failure));
      outcome = 'ok';
    } catch (cause) {
      call.signal.throwIfAborted();
      const failure = cause instanceof RpcError ? cause : this.#failure(call, cause, exchange);
      outcome = failure.kind;
      throw failure;
    } finally {
      silence.cancel();
      call.signal.removeEventListener('abort', onAbort);
      // An answer that was not read to its end is cut.
      exchange?.giveUp(undefined);
      metrics.calls.add(1, { command, outcome });
      metrics.callSeconds.observe((clock.monotonicMs() - sinceMs) / 1000, { command });
    }
  }

  /** Resolves when an answer begins well. */
  async #begun(call: RpcCall, begin: () => Exchange, watchdog: Watchdog): Promise<Exchange> {
    for (let isAgain = false; ; isAgain = true) {
      const exchange = begin();
      watchdog.arm(exchange, call.answerTimeoutMs ?? ANSWER_TIMEOUT_MS, `did not begin to answer ${call.command}`);
      try {
        const head = await exchange.head();
        watchdog.cancel();
        // A page with status 200 is what a portal or the wrong port shows.
        const isPage = head.headers['content-type']?.startsWith('text/html') === true;
        if (head.status !== 200 || isPage) throw failureOf(head.status, await beginning(exchange));
        return exchange;
      } catch (cause) {
        // A connection that lay idle may have ended in the moment it was taken up: Kubo has not seen the call then.
        if (isAgain || !exchange.isSent || cause instanceof RpcError || isForeign(cause)) throw cause;
      } finally {
        watchdog.cancel();
      }
    }
  }

  #asked({ command, query = [], body }: RpcCall): Exchange {
    const search = new URLSearchParams(query).toString();
    const exchange = new Exchange((failure) => this.#told.add(failure));
    const length = body?.bytes.reduce((sum, { length }) => sum + length, 0);
    this.#pool.dispatch(
      {
        method: 'POST',
        path: `${this.#address.basePath}/api/v0/${command}${search === '' ? '' : `?${search}`}`,
        headers: {
          ...this.#headers,
          ...(body !== undefined && { 'content-type': body.contentType, 'content-length': `${length}` }),
        },
        body: (body?.bytes ?? null) as Uint8Array | null,
      },
      exchange,
    );
    return exchange;
  }

  #failure(call: RpcCall, cause: unknown, exchange: Exchange | undefined): RpcError {
    const { text } = this.#address;
    if (exchange?.isBegun === true) {
      return new RpcError('absent', `the IPFS node broke off its answer to ${call.command}`, { cause });
    }
    if (isForeign(cause)) return new RpcError('foreign', `what answers at ${text} does not speak HTTP`, { cause });
    return new RpcError('absent', `the IPFS node at ${text} does not answer: ${(cause as Error).message}`, { cause });
  }
}

/** undici's own words for what we wanted ourselves: a call given up, a connection that lay idle, `close`. */
const byUs = new Set(['UND_ERR_INFO', 'UND_ERR_DESTROYED']);

/** Gives an exchange up when what was announced has not come in time. */
class Watchdog {
  readonly #timers: Timers;
  #timer: Timer | undefined;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  arm(exchange: Exchange, delayMs: number, what: string): void {
    this.#timer = this.#timers.after(delayMs, () =>
      exchange.giveUp(new RpcError('absent', `the IPFS node ${what} within ${delayMs} ms`)),
    );
  }

  cancel(): void {
    this.#timer?.cancel();
  }
}

function failureOf(status: number, text: string): RpcError {
  if (status === 401 || status === 403) {
    return new RpcError('unauthorized', `the IPFS node does not take these credentials (HTTP ${status})`);
  }
  const message = status === 500 ? messageOf(text) : undefined;
  if (message !== undefined) return new RpcError('refused', message);
  const what = status === 200 ? 'a page' : `HTTP ${status}`;
  return new RpcError('foreign', `what answers there is not the RPC of Kubo: ${what}`);
}

async function beginning(exchange: Exchange): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for (let chunk = await exchange.chunk(); chunk !== undefined; chunk = await exchange.chunk()) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > ERROR_BYTES_MAX) break;
    }
  } catch {
    // The status says enough.
  }
  return Buffer.concat(chunks).subarray(0, ERROR_BYTES_MAX).toString('utf8');
}

/** Kubo's errors: {"Message": "...", "Code": 0, "Type": "error"} */
function messageOf(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && 'Message' in value && typeof value.Message === 'string') {
      return value.Message;
    }
  } catch {
    // Not Kubo's.
  }
  return undefined;
}

/** What undici's parser says of what is no HTTP. */
function isForeign(cause: unknown): boolean {
  return cause instanceof errors.HTTPParserError;
}

function tlsOf(tls: RpcTls | undefined) {
  const read = (path: string | undefined) => (path === undefined ? undefined : readFileSync(path));
  const [ca, cert, key] = [read(tls?.caFile), read(tls?.certFile), read(tls?.keyFile)];
  const files = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  // What is no certificate, or no key of it, is said now, and not by every call.
  createSecureContext(files);
  return files;
}
