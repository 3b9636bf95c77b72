import { readFileSync } from 'node:fs';
import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import { mergeSignals, raceSignal, type ScopedSignal } from '../../runtime/abort.ts';
import type { Clock, Timer, Timers } from '../../runtime/clock.ts';
import { authorization, type RpcAddress } from './address.ts';
import {
  ANSWER_TIMEOUT_MS,
  ERROR_BYTES_MAX,
  OPEN_TIMEOUT_MS,
  SILENCE_TIMEOUT_MS,
  SOCKET_IDLE_MS,
  SOCKETS_IDLE_MAX,
} from './constants.ts';
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
 * Kubo's RPC (https://docs.ipfs.tech/reference/kubo/rpc/) over node:http: `fetch` shows no trailers, in which Kubo tells
 * that a stream failed after its beginning, and knows no unix sockets. An answer counts as whole only if its last chunk
 * came and no trailer says otherwise. Rejects with RpcError, or with the reason of the signal.
 */
export class KuboRpc {
  readonly #init: RpcInit;
  readonly #needs: RpcNeeds;
  readonly #headers: Record<string, string>;
  readonly #agent: HttpAgent;

  /** Throws when a file of `tls` cannot be read or is none, or `auth` has no known form. */
  constructor(init: RpcInit, needs: RpcNeeds) {
    this.#init = init;
    this.#needs = needs;
    this.#headers = init.auth === undefined ? {} : { authorization: authorization(init.auth) };
    const keeping = { keepAlive: true, maxFreeSockets: SOCKETS_IDLE_MAX, timeout: SOCKET_IDLE_MS };
    this.#agent = init.address.tls ? new HttpsAgent({ ...keeping, ...tlsOf(init.tls) }) : new HttpAgent(keeping);
  }

  /** Cuts every connection. */
  close(): void {
    this.#agent.destroy();
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
  async *lines(call: RpcCall): AsyncGenerator<unknown> {
    yield* jsonLines(this.#counted(call));
  }

  /** An answer that is no JSON, of at most so many bytes. */
  async bytes(call: RpcCall, bytesMax: number): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of this.#counted(call)) {
      length += chunk.length;
      if (length > bytesMax) throw new RpcError('garbled', `the IPFS node answered with more than ${bytesMax} bytes`);
      chunks.push(chunk);
    }
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }

  async *#counted(call: RpcCall): AsyncGenerator<Uint8Array> {
    const { clock, metrics } = this.#needs;
    const { command } = call;
    const sinceMs = clock.monotonicMs();
    let outcome = 'ended';
    try {
      yield* this.#chunks(call);
      outcome = 'ok';
    } catch (cause) {
      if (cause instanceof RpcError) outcome = cause.kind;
      throw cause;
    } finally {
      metrics.calls.add(1, { command, outcome });
      metrics.callSeconds.observe((clock.monotonicMs() - sinceMs) / 1000, { command });
    }
  }

  async *#chunks(call: RpcCall): AsyncGenerator<Uint8Array> {
    using scope = mergeSignals(call.signal);
    const silence = new Watchdog(this.#needs.timers, scope);
    const { response, end } = await this.#answer(call, scope, silence);
    try {
      const chunks = response.iterator({ destroyOnReturn: false });
      for (;;) {
        silence.arm(call.silenceTimeoutMs ?? SILENCE_TIMEOUT_MS, `fell silent in its answer to ${call.command}`);
        const { done, value } = await raceSignal(chunks.next(), scope.signal);
        silence.cancel();
        if (done) break;
        yield value as Uint8Array;
      }
      requireWhole(response, call);
    } catch (cause) {
      scope.signal.throwIfAborted();
      throw cause instanceof RpcError ? cause : brokenOff(call, cause);
    } finally {
      silence.cancel();
      end();
    }
  }

  /** Resolves with an answer that begins well. `end` lets go of it: cuts what was not read to its end. */
  async #answer(call: RpcCall, scope: ScopedSignal, watchdog: Watchdog, isAgain = false): Promise<Answer> {
    scope.signal.throwIfAborted();
    const request = this.#request(call);
    const onAbort = () => request.destroy();
    scope.signal.addEventListener('abort', onAbort);
    let response: IncomingMessage | undefined;
    const end = () => {
      scope.signal.removeEventListener('abort', onAbort);
      // An answer read to its end has given its connection back.
      if (!response?.complete) request.destroy();
    };
    try {
      watchdog.arm(call.answerTimeoutMs ?? ANSWER_TIMEOUT_MS, `did not begin to answer ${call.command}`);
      response = await answered(request, this.#needs);
      // A page with status 200 is what a portal or the wrong port shows.
      const isPage = response.headers['content-type']?.startsWith('text/html') === true;
      if (response.statusCode !== 200 || isPage) throw await failureOf(response);
      return { response, end };
    } catch (cause) {
      end();
      scope.signal.throwIfAborted();
      // A connection that lay idle may have ended in the moment it was taken up: Kubo has not seen the call then.
      if (request.reusedSocket && !isAgain && !(cause instanceof RpcError)) {
        return this.#answer(call, scope, watchdog, true);
      }
      throw cause instanceof RpcError ? cause : notReached(this.#init.address, cause);
    } finally {
      watchdog.cancel();
    }
  }

  #request({ command, query = [], body }: RpcCall): ClientRequest {
    const { tls, socketPath, host, port, basePath } = this.#init.address;
    const search = new URLSearchParams(query).toString();
    const length = body?.bytes.reduce((sum, { length }) => sum + length, 0) ?? 0;
    const request = (tls ? httpsRequest : httpRequest)({
      method: 'POST',
      ...(socketPath === undefined ? { host, port } : { socketPath }),
      path: `${basePath}/api/v0/${command}${search === '' ? '' : `?${search}`}`,
      agent: this.#agent,
      headers: {
        ...this.#headers,
        'content-length': length,
        ...(body !== undefined && { 'content-type': body.contentType }),
      },
    });
    for (const bytes of body?.bytes ?? []) request.write(bytes);
    request.end();
    return request;
  }
}

interface Answer {
  response: IncomingMessage;
  end(): void;
}

/** Aborts a scope when what was announced has not come in time. */
class Watchdog {
  readonly #timers: Timers;
  readonly #scope: ScopedSignal;
  #timer: Timer | undefined;

  constructor(timers: Timers, scope: ScopedSignal) {
    this.#timers = timers;
    this.#scope = scope;
  }

  arm(delayMs: number, what: string): void {
    this.#timer = this.#timers.after(delayMs, () =>
      this.#scope.abort(new RpcError('absent', `the IPFS node ${what} within ${delayMs} ms`)),
    );
  }

  cancel(): void {
    this.#timer?.cancel();
  }
}

function answered(request: ClientRequest, { timers, onConnectionEnd }: RpcNeeds): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    let opening: Timer | undefined;
    request.on('socket', (socket) => {
      if (!request.reusedSocket) {
        tellEnd(socket, onConnectionEnd);
        opening = timers.after(OPEN_TIMEOUT_MS, () =>
          request.destroy(new Error(`no connection within ${OPEN_TIMEOUT_MS} ms`)),
        );
        socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => opening?.cancel());
      }
    });
    // Stays for what comes after the answer has begun, which the reader of the answer is told of as well.
    request.on('error', (cause) => {
      opening?.cancel();
      reject(cause);
    });
    // It closes after each answer, too, and an error made for nothing costs a stack trace.
    const onClose = () => reject(new Error('the connection ended'));
    request.on('close', onClose);
    request.on('response', (response) => {
      opening?.cancel();
      request.off('close', onClose);
      response.on('error', () => {});
      resolve(response);
    });
  });
}

/** `free`: the answer that came was whole. `timeout`: it lay idle for long, and the agent ends it. */
function tellEnd(socket: Socket, onConnectionEnd: RpcNeeds['onConnectionEnd']): void {
  let isKept = false;
  socket.on('free', () => {
    isKept = !socket.destroyed;
  });
  socket.on('timeout', () => {
    isKept = false;
  });
  socket.once('close', () => onConnectionEnd({ unasked: isKept }));
}

async function failureOf(response: IncomingMessage): Promise<RpcError> {
  const status = response.statusCode ?? 0;
  const text = await beginning(response);
  if (status === 401 || status === 403) {
    return new RpcError('unauthorized', `the IPFS node does not take these credentials (HTTP ${status})`);
  }
  const message = status === 500 ? messageOf(text) : undefined;
  if (message !== undefined) return new RpcError('refused', message);
  const what = status === 200 ? 'a page' : `HTTP ${status}`;
  return new RpcError('foreign', `what answers there is not the RPC of Kubo: ${what}`);
}

async function beginning(response: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
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

function requireWhole(response: IncomingMessage, call: RpcCall): void {
  const failure = response.trailers['x-stream-error'];
  if (failure !== undefined) throw new RpcError('refused', failure);
  if (!response.complete) throw brokenOff(call, undefined);
}

function brokenOff(call: RpcCall, cause: unknown): RpcError {
  return new RpcError('absent', `the IPFS node broke off its answer to ${call.command}`, { cause });
}

function notReached({ text }: RpcAddress, cause: unknown): RpcError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code?.startsWith('HPE_'))
    return new RpcError('foreign', `what answers at ${text} does not speak HTTP`, { cause });
  return new RpcError('absent', `the IPFS node at ${text} does not answer: ${message}`, { cause });
}

function tlsOf(tls: RpcTls | undefined) {
  const read = (path: string | undefined) => (path === undefined ? undefined : readFileSync(path));
  const [ca, cert, key] = [read(tls?.caFile), read(tls?.certFile), read(tls?.keyFile)];
  const files = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  // What is no certificate, or no key of it, is said now, and not by every call.
  createSecureContext(files);
  return files;
}
