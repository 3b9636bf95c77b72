import type { Static, TSchema } from 'typebox';
import Type from 'typebox';

/** One setting of a module: what it may be, what it is when nobody says, and what people read about it. */
export interface Option<S extends TSchema = TSchema, T = Static<S>> {
  readonly schema: S;
  /** `undefined` where not setting it has a meaning of its own, which `says` explains. */
  readonly default: T;
  /** One sentence for the reference; no full stop at its end. */
  readonly says: string;
  readonly unit?: string;
  /** `cluster`: all peers of a cluster must have the same; `peer`: each its own. */
  readonly scope: 'cluster' | 'peer';
  /** Hidden in `config show` and in every problem that is reported. */
  readonly secret: boolean;
  /** The name of its flag without the dashes; otherwise it is made of section and key. */
  readonly flag?: string;
}

/** A table of options of any types: what the engine works on. It knows no option by name. */
export type OptionTable = Readonly<Record<string, Option<TSchema, unknown>>>;

/** The options of one module, under one key of the configuration file. */
export interface OptionSection<N extends string = string, O extends OptionTable = OptionTable> {
  readonly name: N;
  readonly says: string;
  readonly options: O;
}

/** The values of a section: `type TrackerOptions = OptionsOf<typeof trackerOptions>`. */
export type OptionsOf<S> =
  S extends OptionSection<string, infer O>
    ? { readonly [K in keyof O]: O[K] extends Option<TSchema, infer T> ? T : never }
    : never;

export function defineOptions<N extends string, O extends OptionTable>(
  name: N,
  says: string,
  options: O,
): OptionSection<N, O> {
  return { name, says, options };
}

/** The defaults of a section alone: for tests and for parts that run without a configuration. */
export function defaultsOf<N extends string, O extends OptionTable>(
  section: OptionSection<N, O>,
): OptionsOf<OptionSection<N, O>> {
  const entries = Object.entries(section.options).map(([key, option]) => [key, option.default]);
  return Object.freeze(Object.fromEntries(entries)) as OptionsOf<OptionSection<N, O>>;
}

/** What each kind of option below takes besides its limits. */
interface Spec<T> {
  default: T;
  says: string;
  scope?: 'cluster' | 'peer';
  secret?: boolean;
  flag?: string;
}

/** An option of any schema; the functions below cover the usual ones. */
export function option<S extends TSchema, T>(schema: S, spec: Spec<T> & { unit?: string }): Option<S, T> {
  const { default: value, says, scope = 'peer', secret = false, unit, flag } = spec;
  return {
    schema,
    default: value,
    says,
    scope,
    secret,
    ...(unit === undefined ? {} : { unit }),
    ...(flag === undefined ? {} : { flag }),
  };
}

interface Range {
  min: number;
  max: number;
}

/** The longest delay of Node.js's timers; beyond it they fire at once. About 24 days. */
const durationMsMax = 2 ** 31 - 1;

/** A duration; its key ends in `Ms`. */
export function milliseconds(spec: Spec<number> & Partial<Range>): Option<TSchema, number> {
  return integer({ min: 1, max: durationMsMax, unit: 'milliseconds', ...spec });
}

/** A size; its key ends in `Bytes` or `BytesMax`. */
export function bytes(spec: Spec<number> & Partial<Range>): Option<TSchema, number> {
  return integer({ min: 1, max: Number.MAX_SAFE_INTEGER, unit: 'bytes', ...spec });
}

export function integer(spec: Spec<number> & Range & { unit?: string }): Option<TSchema, number> {
  return option(Type.Integer({ minimum: spec.min, maximum: spec.max }), spec);
}

export function flag(spec: Spec<boolean>): Option<TSchema, boolean> {
  return option(Type.Boolean(), spec);
}

export function text<T extends string | undefined>(
  spec: Spec<T> & { pattern?: string; form?: string; max?: number },
): Option<TSchema, T | string> {
  return option(textSchema(spec), spec as Spec<T | string>);
}

/** One of a few words. */
export function choice<const C extends string>(choices: readonly C[], spec: Spec<C>): Option<TSchema, C> {
  return option(Type.Enum([...choices]), spec);
}

/** A list of texts; as a flag or variable the items are separated by commas. */
export function list(
  spec: Spec<readonly string[]> & { pattern?: string; form?: string; itemsMax?: number },
): Option<TSchema, readonly string[]> {
  return option(Type.Array(textSchema(spec), { maxItems: spec.itemsMax ?? 1000, uniqueItems: true }), spec);
}

/** Texts by name; as a flag or variable: `name=value,name=value`. */
export function textMap(
  spec: Spec<Readonly<Record<string, string>>>,
): Option<TSchema, Readonly<Record<string, string>>> {
  return option(Type.Record(Type.String(), Type.String({ maxLength: 256 }), { maxProperties: 64 }), spec);
}

/** An address to listen on, as `host:port` or `[IPv6]:port`; port 0 takes a free one. */
export function listenAddress(spec: Spec<string>): Option<TSchema, string> {
  return text<string>({ pattern: '^(\\[[0-9a-fA-F:.]+\\]|[^:\\s\\[\\]]+):\\d{1,5}$', form: 'host:port', ...spec });
}

/** Multiaddrs; the network module reads them further. */
export function multiaddrs(spec: Spec<readonly string[]>): Option<TSchema, readonly string[]> {
  return list({ pattern: '^(/[^/\\s]+)+$', form: 'a multiaddr such as /ip4/127.0.0.1/tcp/9096', ...spec });
}

/** `form` says in words what `pattern` asks for. */
function textSchema({ pattern, form, max = 1024 }: { pattern?: string; form?: string; max?: number }): TSchema {
  return Type.String({
    maxLength: max,
    ...(pattern === undefined ? {} : { pattern }),
    ...(form === undefined ? {} : { 'x-form': form }),
  });
}
