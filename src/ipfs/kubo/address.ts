/** Where Kubo's RPC is spoken to. */
export interface RpcAddress {
  tls: boolean;
  /** Or a unix socket. */
  socketPath?: string;
  host: string;
  port: number;
  /** Before `/api/v0`, without a slash at its end: for a proxy. */
  basePath: string;
  /** For people; has no credentials. */
  text: string;
}

const defaultPort = 5001;

/**
 * A multiaddr (`/ip4/127.0.0.1/tcp/5001`, with `/https` or `/tls/http` for TLS, `/unix/run/ipfs.sock`) or a URL
 * (`http://`, `https://`, `unix:///run/ipfs.sock`). Throws RangeError, which says what is wrong.
 */
export function parseRpcAddress(text: string): RpcAddress {
  return text.startsWith('/') ? ofMultiaddr(text) : ofUrl(text);
}

function ofMultiaddr(text: string): RpcAddress {
  const unix = /^\/unix(\/.+)$/.exec(text)?.[1];
  if (unix !== undefined) return ofSocket(unix, text);
  const parts = /^\/(ip4|ip6|dns|dns4|dns6)\/([^/]+)\/tcp\/(\d{1,5})(\/http|\/https|\/tls\/http|\/tls)?$/.exec(text);
  if (parts === null) throw new RangeError('not a multiaddr of an RPC, such as /ip4/127.0.0.1/tcp/5001 or /unix/PATH');
  const [, , host = '', port, end = ''] = parts;
  return checked({ tls: /tls|https/.test(end), host, port: Number(port), basePath: '', text });
}

function ofUrl(text: string): RpcAddress {
  if (!URL.canParse(text)) throw new RangeError('neither a multiaddr nor a URL');
  const url = new URL(text);
  if (url.protocol === 'unix:') return ofSocket(decodeURIComponent(url.pathname), text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new RangeError('a URL begins with http, https or unix');
  if (url.username !== '' || url.password !== '') throw new RangeError('credentials do not belong into the address');
  if (url.search !== '' || url.hash !== '') throw new RangeError('a URL of an RPC ends with its path');
  const tls = url.protocol === 'https:';
  // A URL without a port means the usual one of its scheme, as everywhere; a multiaddr always names it.
  const usualPort = tls ? 443 : 80;
  const port = url.port === '' ? usualPort : Number(url.port);
  const basePath = url.pathname.replace(/\/+$/, '').replace(/\/api\/v0$/, '');
  return checked({ tls, host: url.hostname.replace(/^\[|\]$/g, ''), port, basePath, text });
}

function ofSocket(path: string, text: string): RpcAddress {
  // What the kernel takes (108 bytes with the zero at its end), and a plain error before it says so in its own way.
  if (Buffer.byteLength(path) > 107) throw new RangeError('the path of a unix socket has at most 107 bytes');
  return { tls: false, socketPath: path, host: 'localhost', port: defaultPort, basePath: '', text };
}

function checked(address: RpcAddress): RpcAddress {
  if (address.host === '') throw new RangeError('no host');
  if (address.port < 1 || address.port > 65_535) throw new RangeError(`there is no port ${address.port}`);
  return address;
}

/**
 * `basic:USER:PASSWORD` or `bearer:TOKEN`, as Kubo's own `API.Authorizations` writes it, to the header. Throws RangeError,
 * which never quotes the text.
 */
export function authorization(text: string): string {
  const [, kind, secret = ''] = /^(basic|bearer):(.+)$/s.exec(text) ?? [];
  if (kind === 'basic' && secret.includes(':')) return `Basic ${Buffer.from(secret).toString('base64')}`;
  if (kind === 'bearer' && /^[\x21-\x7e]+$/.test(secret)) return `Bearer ${secret}`;
  throw new RangeError('not of the form basic:USER:PASSWORD or bearer:TOKEN');
}
