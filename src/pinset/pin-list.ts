import { byteString, compareBytes, equalBytes } from '../model/bytes.ts';
import { invalidField, isPinfoldError, PinfoldError } from '../model/errors.ts';
import type { PinKey } from '../model/pin.ts';
import { pinKeyParts, pinKeyPrefix } from '../model/pin-key.ts';
import type { Entry, Reader } from '../storage/storage.ts';
import { IndexedFields } from './codec/pin-value.ts';
import {
  LIST_CIDS_MAX,
  LIST_ENTRY_WORK,
  LIST_MERGED_NAMESPACES_MAX,
  LIST_PAGE_PINS_MAX,
  LIST_WORK_MAX,
} from './constants.ts';
import { decodeCursor, encodeCursor, type Position } from './cursor.ts';
import {
  after,
  hashInNameKey,
  hashInTimeKey,
  KEY_HASH_BYTES,
  metadataEqualsPrefix,
  metadataPrefix,
  nameEqualsPrefix,
  nameKey,
  namePrefix,
  timeBound,
  timeKey,
} from './index-keys.ts';
import type { Indexer } from './indexer.ts';
import type { StoredNames } from './names.ts';
import { PinMatch } from './pin-match.ts';
import type { PinFilter, PinPage, PinQuery, StoredPin } from './pinset.ts';
import { shownDot } from './row-hash.ts';
import { readFields, rowFromDisk } from './rows.ts';
import { readable, storedPin } from './stored-pin.ts';
import type { TableSet } from './tables.ts';

export interface PinListNeeds {
  reader: Reader;
  set: TableSet;
  names: StoredNames;
  indexer: Indexer;
  /** Metadata keys whose index is complete. */
  indexedMetadata: readonly string[];
}

/** One place in a listing, with the pins that stand there: mostly one; none if they do not match or are gone. */
interface Step {
  key: Uint8Array;
  pins: readonly StoredPin[];
  /** Of rows that stand there and cannot be read. */
  damaged?: readonly PinfoldError[];
  /** What it cost, in rows passed over. */
  work: number;
}

/** A part of a listing. `name` orders the parts. `steps` goes on behind a key. */
interface Part {
  name: string;
  steps(behind: Uint8Array | undefined): Iterable<Step>;
}

/**
 * A page of pins, by the cheapest way:
 *   CIDs named             their rows, sorted
 *   order name             the name index, namespace after namespace; then, by key, the pins that have no name
 *   order created          the creation index
 *   order key              the name index if the filter names one name; else the metadata index if it names a pair whose
 *                          key is indexed (in both, entries of one text are in key order); else all rows
 * All the rest of the filter is checked on the rows. An item that keeps its place is met exactly once; one that is
 * renamed on the way may be met at both places or at none.
 */
export function listPins(needs: PinListNeeds, query: PinQuery): PinPage {
  if (!(query.limit >= 1)) throw invalidField('page_size', 'must be at least 1');
  const limit = Math.min(query.limit, LIST_PAGE_PINS_MAX);
  const position = query.cursor === undefined ? undefined : decodeCursor(query, query.cursor);
  const pins: StoredPin[] = [];
  const damaged: PinfoldError[] = [];
  let work = 0;
  for (const { part, step } of walk(new ListPlan(needs, query).parts(), position)) {
    pins.push(...step.pins);
    damaged.push(...(step.damaged ?? []));
    work += step.work;
    if (pins.length < limit && work < LIST_WORK_MAX) continue;
    return { pins, damaged, cursor: encodeCursor(query, { part, key: step.key }) };
  }
  return { pins, damaged, cursor: undefined };
}

function* walk(parts: readonly Part[], position: Position | undefined): Iterable<{ part: string; step: Step }> {
  for (const part of parts) {
    if (position !== undefined && part.name < position.part) continue;
    const behind = position !== undefined && part.name === position.part ? position.key : undefined;
    for (const step of part.steps(behind)) yield { part: part.name, step };
  }
}

class ListPlan {
  readonly #needs: PinListNeeds;
  readonly #query: PinQuery;
  readonly #fields = new IndexedFields();

  constructor(needs: PinListNeeds, query: PinQuery) {
    this.#needs = needs;
    this.#query = query;
  }

  parts(): readonly Part[] {
    const { filter, order } = this.#query;
    if (filter.cids !== undefined) return [this.#byCids(filter.cids)];
    if (order === 'name') return this.#byName();
    if (order === 'key') return [this.#byKey()];
    return [this.#byCreated(order === 'created-descending')];
  }

  #byKey(): Part {
    const { nameEquals, metadata = [] } = this.#query.filter;
    const namespaces = this.#namespaces();
    if (nameEquals && namespaces.length <= LIST_MERGED_NAMESPACES_MAX) {
      const name = Buffer.from(nameEquals);
      const prefixes = namespaces.map(({ number }) => nameEqualsPrefix(number, name));
      return { name: '', steps: (behind) => this.#byHashes(this.#needs.set.byName, prefixes, behind) };
    }
    const pair = metadata.find(([key]) => this.#needs.indexedMetadata.includes(key));
    if (pair !== undefined) {
      const prefix = metadataEqualsPrefix(metadataPrefix(pair[0]), Buffer.from(pair[1]));
      return { name: '', steps: (behind) => this.#byHashes(this.#needs.set.byMetadata, [prefix], behind) };
    }
    return this.#allRows('', new PinMatch(this.#query.filter));
  }

  #allRows(name: string, match: PinMatch): Part {
    return { name, steps: (behind) => this.#rows(behind === undefined ? {} : { from: following(behind) }, match) };
  }

  *#rows(range: { from?: Uint8Array; to?: Uint8Array }, match: PinMatch): Iterable<Step> {
    const { reader, set } = this.#needs;
    for (const { key, value } of reader.range(set.pins, range)) {
      const read = this.#pinOf(key, value, () => match.matches(key, this.#fields));
      if (read instanceof PinfoldError) yield { key, pins: [], damaged: [read], work: 1 };
      else yield { key, pins: read, work: 1 };
    }
  }

  /** Rows whose key hashes stand behind the prefixes in an index, in key order. */
  *#byHashes(table: string, prefixes: readonly Uint8Array[], behind: Uint8Array | undefined): Iterable<Step> {
    const match = new PinMatch(this.#query.filter);
    const fromHash = behind?.subarray(0, KEY_HASH_BYTES) ?? new Uint8Array(0);
    const ranges = prefixes.map((prefix) =>
      hashesBehind(
        this.#needs.reader.range(table, { from: Buffer.concat([prefix, fromHash]), to: after(prefix) }),
        prefix,
      ),
    );
    for (const keyHash of merged(ranges)) {
      const continues = behind !== undefined && equalBytes(keyHash, fromHash);
      const from = continues ? following(behind) : keyHash;
      yield* this.#rows({ from, to: after(keyHash) }, match);
      yield { key: Buffer.concat([keyHash, lastInHash]), pins: [], work: LIST_ENTRY_WORK };
    }
  }

  #byName(): readonly Part[] {
    const { filter } = this.#query;
    const named = filter.nameEquals === '' ? [] : this.#namespaces().map((namespace) => this.#namedIn(namespace));
    // 'u' stands behind all the 'n'.
    const all =
      filter.nameEquals || filter.namePrefix ? named : [...named, this.#allRows('u', new PinMatch(filter, true))];
    return all;
  }

  #namedIn({ name, number }: { name: string; number: number }): Part {
    const { nameEquals, namePrefix: prefixText = '' } = this.#query.filter;
    const prefix =
      nameEquals === undefined
        ? namePrefix(number, Buffer.from(prefixText))
        : nameEqualsPrefix(number, Buffer.from(nameEquals));
    const entryOf = (key: PinKey) => nameKey(key, number, this.#fields);
    return {
      name: `n${name}`,
      steps: (behind) =>
        this.#entries(
          this.#needs.reader.range(this.#needs.set.byName, {
            from: behind === undefined ? prefix : following(behind),
            to: after(prefix),
          }),
          hashInNameKey,
          entryOf,
          (namespace) => namespace === number,
        ),
    };
  }

  #byCreated(reverse: boolean): Part {
    const { createdAfterMs, createdBeforeMs } = this.#query.filter;
    const low = createdAfterMs === undefined ? undefined : timeBound(Math.max(0, Math.floor(createdAfterMs)));
    const high = createdBeforeMs === undefined ? undefined : timeBound(Math.max(0, Math.ceil(createdBeforeMs)));
    return {
      name: '',
      steps: (behind) => {
        const from = reverse || behind === undefined ? low : following(behind);
        const to = reverse && behind !== undefined ? behind : high;
        const range = this.#needs.reader.range(this.#needs.set.byCreated, {
          ...(from && { from }),
          ...(to && { to }),
          reverse,
        });
        const { indexer } = this.#needs;
        const entryOf = (key: PinKey) => timeKey(key, indexer.namespaceOf(key), this.#fields.createdMs);
        return this.#entries(range, hashInTimeKey, entryOf);
      },
    };
  }

  /** The pins of index entries: of the rows with the entry's hash those that the entry is of. */
  *#entries(
    entries: Iterable<Entry>,
    hashOf: (entry: Uint8Array) => Uint8Array,
    entryOf: (key: PinKey) => Uint8Array,
    isIn: (namespace: number) => boolean = () => true,
  ): Iterable<Step> {
    const { reader, set, indexer } = this.#needs;
    const match = new PinMatch(this.#query.filter);
    for (const { key: entry } of entries) {
      const keyHash = hashOf(entry);
      const pins: StoredPin[] = [];
      const damaged: PinfoldError[] = [];
      for (const { key, value } of reader.range(set.pins, { from: keyHash, to: after(keyHash) })) {
        if (!isIn(indexer.namespaceOf(key))) continue;
        const isMeant = () => equalBytes(entryOf(key), entry) && match.matches(key, this.#fields);
        const read = this.#pinOf(key, value, isMeant);
        if (read instanceof PinfoldError) damaged.push(read);
        else pins.push(...read);
      }
      yield { key: entry, pins, damaged, work: LIST_ENTRY_WORK };
    }
  }

  /** Few pins, found one by one: sorted here, each under a key that orders as the listing does. */
  #byCids(cids: readonly Uint8Array[]): Part {
    if (cids.length > LIST_CIDS_MAX) throw invalidField('filter.cids', `at most ${LIST_CIDS_MAX} CIDs can be named`);
    return {
      name: '',
      steps: (behind) => {
        const direction = this.#query.order === 'created-descending' ? -1 : 1;
        const steps = this.#stepsOfCids(cids).sort((a, b) => direction * compareBytes(a.key, b.key));
        return behind === undefined ? steps : steps.filter(({ key }) => direction * compareBytes(key, behind) > 0);
      },
    };
  }

  #stepsOfCids(cids: readonly Uint8Array[]): Step[] {
    const match = new PinMatch(this.#query.filter);
    const steps = new Map<string, Step>();
    for (const cid of cids) {
      const prefix = pinKeyPrefix(cid);
      for (const { key, pins, damaged = [] } of this.#rows({ from: prefix, to: after(prefix) }, match)) {
        if (pins.length === 0 && damaged.length === 0) continue;
        // Where a damaged one would stand, nobody knows.
        const place = damaged.length > 0 ? key : this.#sortKey(key);
        steps.set(byteString(key), { key: place, pins, damaged, work: LIST_ENTRY_WORK });
      }
    }
    return [...steps.values()];
  }

  /** Of the row that was read last. */
  #sortKey(key: PinKey): Uint8Array {
    const { order } = this.#query;
    if (order === 'key') return key;
    const namespace = this.#needs.indexer.namespaceOf(key);
    if (order !== 'name') return timeKey(key, namespace, this.#fields.createdMs);
    if (this.#fields.nameEnd === this.#fields.nameAt) return Buffer.concat([Buffer.from('u'), key]);
    return Buffer.concat([Buffer.from(`n${pinKeyParts(key).namespace}\0`), nameKey(key, namespace, this.#fields)]);
  }

  /** The pin of a row if it is wanted, which is asked when its fields have been read; the problem of one that cannot be. */
  #pinOf(key: PinKey, value: Uint8Array, isWanted: () => boolean): readonly StoredPin[] | PinfoldError {
    const { names } = this.#needs;
    try {
      const row = rowFromDisk(names, key, value);
      readFields(this.#fields, key, shownDot(names, row)?.value ?? new Uint8Array(0));
      return isWanted() ? [readable(storedPin(names, key, row))] : [];
    } catch (problem) {
      if (!isPinfoldError(problem, 'DATA_CORRUPT')) throw problem;
      return problem;
    }
  }

  /** Those that the filter names, or all, by name. */
  #namespaces(): { name: string; number: number }[] {
    const { namespaces } = this.#needs.names;
    const found: { name: string; number: number }[] = [];
    for (const name of wanted(this.#query.filter, namespaces.all())) {
      const number = namespaces.find(name);
      if (number !== undefined) found.push({ name, number });
    }
    return found;
  }
}

function wanted(filter: PinFilter, all: readonly string[]): string[] {
  return [...new Set(filter.namespaces ?? all)].sort();
}

/** Behind all pin keys with a hash: a CID begins with 0x01, or with 0x12 in version 0. */
const lastInHash = Uint8Array.of(255);

/** The least key behind a key. */
function following(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

function* hashesBehind(entries: Iterable<Entry>, prefix: Uint8Array): Generator<Uint8Array> {
  for (const { key } of entries) yield key.subarray(prefix.length, prefix.length + KEY_HASH_BYTES);
}

/** Ascending sequences as one, without repetitions. */
function* merged(sequences: readonly Generator<Uint8Array>[]): Iterable<Uint8Array> {
  try {
    const heads = sequences.map(nextOf);
    for (let least = leastOf(heads); least !== undefined; least = leastOf(heads)) {
      yield least;
      sequences.forEach((sequence, i) => {
        for (let head = heads[i]; head && equalBytes(head, least as Uint8Array); head = heads[i]) {
          heads[i] = nextOf(sequence);
        }
      });
    }
  } finally {
    for (const sequence of sequences) sequence.return(undefined);
  }
}

function nextOf(sequence: Generator<Uint8Array>): Uint8Array | undefined {
  const { done, value } = sequence.next();
  return done ? undefined : value;
}

function leastOf(heads: readonly (Uint8Array | undefined)[]): Uint8Array | undefined {
  let least: Uint8Array | undefined;
  for (const head of heads) {
    if (head !== undefined && (least === undefined || compareBytes(head, least) < 0)) least = head;
  }
  return least;
}
