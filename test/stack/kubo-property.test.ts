import t from 'tap';
import { ConnectorError, type HoldMode } from '../../src/ipfs/connector.ts';
import { parseRpcAddress } from '../../src/ipfs/kubo/address.ts';
import { KuboConnector } from '../../src/ipfs/kubo/kubo-connector.ts';
import { formatCid } from '../../src/model/cid.ts';
import { systemClock, systemTimers } from '../../src/runtime/clock.ts';
import { silentLogger } from '../../src/runtime/logger.ts';
import { noMetrics } from '../../src/runtime/metrics.ts';
import { keepAlive } from '../suites/connector.suite.ts';
import { dag, version0 } from '../suites/dags.ts';
import { fc } from '../support/fast-check.ts';
import { emptyFolder, KuboNode, withoutKubo } from '../support/kubo.ts';
import { kuboProxy } from '../support/kubo-proxy.ts';

/** Whatever is done through the connector, beside it and to its connections: a wish is held as a simple model says. */

keepAlive(t);

const needs = { clock: systemClock, timers: systemTimers, logger: silentLogger, metrics: noMetrics };
const signal = new AbortController().signal;
const dags = Array.from({ length: 3 }, (_, at) => dag(`property ${at}`));

type Version = 'v0' | 'v1';
type Step =
  | { kind: 'pin'; at: number; version: Version; mode: HoldMode; fate: 'whole' | 'cut before' | 'cut after' }
  | { kind: 'unpin'; at: number; version: Version }
  | { kind: 'outsider pins'; at: number; version: Version; mode: HoldMode }
  | { kind: 'outsider unpins'; at: number; version: Version };

const where = {
  at: fc.nat({ max: dags.length - 1 }),
  version: fc.constantFrom<Version[]>('v0', 'v1'),
  mode: fc.constantFrom<HoldMode[]>('recursive', 'direct'),
};
const { at, version } = where;
const fate = fc.constantFrom('whole' as const, 'whole' as const, 'cut before' as const, 'cut after' as const);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('pin' as const), ...where, fate }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('unpin' as const), at, version }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('outsider pins' as const), ...where }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('outsider unpins' as const), at, version }) },
);

/** What Kubo has pinned of one wish. */
type Forms = Partial<Record<Version, HoldMode>>;

function held(forms: Forms): HoldMode | 'none' {
  const modes = Object.values(forms);
  if (modes.includes('recursive')) return 'recursive';
  return modes.includes('direct') ? 'direct' : 'none';
}

/** The forms after a step that went as it should. */
function after(forms: Forms, one: Step): Forms {
  if (one.kind === 'unpin') return {};
  if (one.kind === 'outsider unpins') return { ...forms, [one.version]: undefined };
  // Kubo refuses to pin directly what it has pinned recursively.
  if (one.kind === 'outsider pins') {
    return { ...forms, [one.version]: forms[one.version] === 'recursive' ? 'recursive' : one.mode };
  }
  // Of an answer that was cut the record says what it stood for.
  if (one.fate === 'cut before' || held(forms) === one.mode) return forms;
  return { v1: one.mode };
}

t.test('a wish is held as the model says', { skip: withoutKubo, timeout: 240_000 }, async (t) => {
  const kubo = await KuboNode.start(t);
  await kubo.ipfs('pin', 'rm', emptyFolder);
  let fate = 'whole';
  const address = await kuboProxy(t, kubo, (command, query, response) => {
    if (command !== 'pin/add' || query.has('offline') || fate === 'whole') return false;
    const done = fate === 'cut before' ? Promise.resolve() : ofOutsider('pin/add', query);
    done.then(() => response.destroy());
    return true;
  });
  async function ofOutsider(command: string, query: URLSearchParams): Promise<void> {
    const { host, port } = parseRpcAddress(kubo.api);
    await fetch(`http://${host}:${port}/api/v0/${command}?${query}`, { method: 'POST' }).then((each) => each.text());
  }
  const connector = new KuboConnector({ address: parseRpcAddress(address), folder: kubo.folder }, needs);
  t.teardown(() => connector.stop());
  await connector.start();
  for (const { blocks } of dags) await connector.putBlocks(blocks, { signal });

  const cidOf = ({ at, version }: { at: number; version: Version }) => {
    const { root } = dags[at] as (typeof dags)[number];
    return version === 'v0' ? version0(root) : root.cid;
  };
  async function act(one: Step): Promise<void> {
    const cid = cidOf(one);
    if (one.kind === 'unpin') return connector.unpin(cid, { signal });
    const query = new URLSearchParams({ arg: formatCid(cid) });
    if (one.kind === 'outsider unpins') return ofOutsider('pin/rm', query);
    query.set('recursive', `${one.mode === 'recursive'}`);
    if (one.kind === 'outsider pins') return ofOutsider('pin/add', query);
    fate = one.fate;
    try {
      await connector.pin({ cid, mode: one.mode, sources: [] }, { signal, stallTimeoutMs: 10_000 });
    } catch (failure) {
      if (one.fate !== 'cut before' || !(failure instanceof ConnectorError)) throw failure;
    } finally {
      fate = 'whole';
    }
  }
  async function differs(model: readonly Forms[]): Promise<string | undefined> {
    const listed = new Map<string, HoldMode>();
    for await (const { cid, mode } of connector.list({ signal })) {
      if (listed.has(formatCid(cid))) return `${formatCid(cid)} is listed twice`;
      listed.set(formatCid(cid), mode);
    }
    for (const [at, forms] of model.entries()) {
      for (const version of ['v0', 'v1'] as const) {
        const said = await connector.pinned(cidOf({ at, version }), { signal });
        if (said !== held(forms)) return `wish ${at} by ${version}: ${said}, not ${held(forms)}`;
      }
      const told = listed.get(formatCid(cidOf({ at, version: 'v1' }))) ?? 'none';
      if (told !== held(forms)) return `wish ${at} is listed as ${told}, not ${held(forms)}`;
    }
    return listed.size > dags.length ? 'more is listed than there is' : undefined;
  }

  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      const model: Forms[] = dags.map(() => ({}));
      for (const at of model.keys()) await connector.unpin(cidOf({ at, version: 'v1' }), { signal });
      for (const one of steps) {
        await act(one);
        model[one.at] = after(model[one.at] as Forms, one);
        const problem = await differs(model);
        if (problem !== undefined) throw new Error(`${problem}, after ${JSON.stringify(one)}`);
      }
    }),
    { numRuns: process.env.TEST_LONG ? 1_000 : 60 },
  );
  t.pass('held and listed as the model says');
});
