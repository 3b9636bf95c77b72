import { formatCid, parseCid } from './cid.ts';
import { invalidField, type PinfoldError } from './errors.ts';

/** What a text like `/ipfs/CID/a/b` says: where to begin, and the names of the links to follow from there. */
export type ContentPath =
  | { kind: 'ipfs'; root: Uint8Array; segments: readonly string[] }
  | { kind: 'ipns'; name: string; segments: readonly string[] };

export const pathLimits = { bytesMax: 4_096, segmentsMax: 256 } as const;

/** A peer ID, a key as a CID, or a domain name (with DNSLink); internationalised ones in their ASCII form. */
const namePattern = /^[A-Za-z0-9._-]{1,253}$/;

/**
 * `/ipfs/CID/a/b`, `/ipns/NAME/a/b`, `ipfs://CID/a/b`, `ipns://NAME/a/b` (percent-encoded, as URIs are), `CID/a/b`, or a CID alone; a
 * slash at the end is allowed. Throws INVALID_PATH, or INVALID_CID, naming `field`.
 */
export function parseContentPath(text: string, field = 'path'): ContentPath {
  const invalid = (problem: string) => invalidPath(field, problem);
  if (text.length > pathLimits.bytesMax || Buffer.byteLength(text) > pathLimits.bytesMax) {
    throw invalid(`longer than ${pathLimits.bytesMax} bytes`);
  }
  if (text.includes('\0')) throw invalid('has a NUL character');
  const { kind, parts } = partsOf(text, invalid);
  if (parts.length > 1 && parts.at(-1) === '') parts.pop();
  const [start = '', ...segments] = parts;
  if (start === '') throw invalid(`"${shown(text)}" is not a path; it would look like /ipfs/bafybei.../docs/readme.md`);
  if (segments.length > pathLimits.segmentsMax) throw invalid(`has more than ${pathLimits.segmentsMax} segments`);
  for (const segment of segments) {
    if (segment === '') throw invalid('has an empty segment');
    if (segment === '.' || segment === '..') throw invalid(`has a segment "${segment}"`);
  }
  if (kind === 'ipfs') return { kind, root: parseCid(start, field), segments };
  if (!namePattern.test(start)) throw invalid(`"${shown(start)}" is no name that /ipns could have`);
  return { kind, name: start, segments };
}

/** `/ipfs/CID/a/b`. */
export function formatPath(root: Uint8Array, segments: readonly string[]): string {
  return ['/ipfs', formatCid(root), ...segments].join('/');
}

export function invalidPath(field: string, problem: string): PinfoldError {
  return invalidField(field, problem, 'INVALID_PATH');
}

type Invalid = (problem: string) => PinfoldError;

function partsOf(text: string, invalid: Invalid): { kind: ContentPath['kind']; parts: string[] } {
  const uri = /^(ipfs|ipns):\/\/(.*)$/su.exec(text);
  if (uri !== null) return { kind: uri[1] as ContentPath['kind'], parts: uriParts(uri[2] as string, invalid) };
  const path = /^\/(ipfs|ipns)\/(.*)$/su.exec(text);
  if (path !== null) return { kind: path[1] as ContentPath['kind'], parts: (path[2] as string).split('/') };
  return { kind: 'ipfs', parts: text.split('/') };
}

function uriParts(text: string, invalid: Invalid): string[] {
  if (/[?#]/.test(text)) throw invalid('has a query or a fragment, which lead nowhere here');
  return text.split('/').map((part) => {
    const decoded = percentDecoded(part);
    if (decoded === undefined) throw invalid(`"${shown(part)}" is not percent-encoded as in a URI`);
    if (/[/\0]/.test(decoded)) throw invalid('has a segment with a slash or a NUL character in it');
    return decoded;
  });
}

function percentDecoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

const shown = (text: string) => (text.length > 80 ? `${text.slice(0, 80)}...` : text);
