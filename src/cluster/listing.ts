import type { CallContext } from '../model/call-context.ts';
import type { PinfoldError } from '../model/errors.ts';
import type { PinFilter, PinOrder, Pinset, StoredPin } from '../pinset/pinset.ts';
import { sleep, type Timers } from '../runtime/clock.ts';
import { checkNamespaceAllowed } from './pins.ts';

export interface ListingQuery {
  filter: PinFilter;
  order: PinOrder;
  /** Stop after so many pins; 0: none left. */
  pageSize: number;
  cursor: Uint8Array | undefined;
  /** At most so many pins at a time. */
  pieceSize: number;
}

export interface ListingPiece {
  pins: readonly StoredPin[];
  cursor: Uint8Array | undefined;
}

/**
 * The pinset, piece by piece and in constant memory; other work gets a turn between two pieces. Rows that cannot be read keep nobody from
 * the others: it ends with the DATA_CORRUPT of the first, after the last piece.
 */
export type ListPins = (query: ListingQuery, call: CallContext) => AsyncIterable<ListingPiece>;

export function listPins(needs: ListPinsNeeds): ListPins {
  return (query, call) => pieces(needs, query, call);
}

export interface ListPinsNeeds {
  pinset: Pick<Pinset, 'list'>;
  timers: Timers;
}

/** Pins of the first piece, at most: somebody may be looking at a screen. */
const firstPiecePins = 100;

async function* pieces(needs: ListPinsNeeds, query: ListingQuery, call: CallContext): AsyncIterable<ListingPiece> {
  const filter = withinNamespaces(query.filter, call);
  let left = query.pageSize === 0 ? Number.POSITIVE_INFINITY : query.pageSize;
  let cursor = query.cursor;
  let damaged: PinfoldError | undefined;
  let pieceSize = Math.min(query.pieceSize, firstPiecePins);
  do {
    const limit = Math.min(left, pieceSize);
    pieceSize = query.pieceSize;
    const page = needs.pinset.list({ filter, order: query.order, limit, ...(cursor === undefined ? {} : { cursor }) });
    left -= page.pins.length;
    damaged ??= page.damaged[0];
    cursor = page.cursor;
    // A piece may be empty where the filter let nothing through: only the last of those is of use to a caller.
    if (page.pins.length > 0 || cursor === undefined) yield page;
    await sleep(needs.timers, 0, call.signal);
  } while (cursor !== undefined && left > 0);
  if (damaged !== undefined) throw damaged;
}

/** The filter, narrowed to what the caller may see. Throws PERMISSION_DENIED for a namespace that is not the caller's. */
export function withinNamespaces(filter: PinFilter, call: CallContext): PinFilter {
  for (const namespace of filter.namespaces ?? []) checkNamespaceAllowed(namespace, call);
  if (call.namespaces === 'all' || filter.namespaces !== undefined) return filter;
  return { ...filter, namespaces: call.namespaces };
}
