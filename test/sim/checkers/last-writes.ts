import { decodePosition } from '../../../src/consensus/crdt/core/position.ts';
import { isPinfoldError } from '../../../src/model/errors.ts';
import { called } from '../clients/call.ts';
import { plainOptions } from '../clients/write.ts';
import { content } from '../world/contents.ts';
import type { SimProcess } from '../world/sim-process.ts';
import { Violation } from '../world/violation.ts';
import type { World } from '../world/world.ts';
import { hexOf } from './hex.ts';
import { reached } from './trusting.ts';

/** A write and what its answer said. */
interface LastWrite {
  readonly by: SimProcess;
  /** Undefined: it was refused, as nobody would take it. */
  readonly written:
    | { readonly rid: string; readonly sequence: number; readonly unseenBy: readonly string[] }
    | undefined;
}

/** T4, once everybody knows whom the others trust: a write by each peer gets to whomever its answer does not name. */
export class LastWrites {
  readonly #world: World;
  readonly #writes: LastWrite[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  async write(by: SimProcess): Promise<void> {
    const options = { ...plainOptions, name: `last of ${by.name}`, replicationMin: -1, replicationMax: -1 };
    const pin = { kind: 'pin', cid: content(0).cid, namespace: 'last', options, condition: undefined } as const;
    const asked = { ack: { kind: 'durable' }, idempotency: undefined } as const;
    try {
      const { position, unseenBy } = await called(this.#world, by, 60_000, (call) =>
        by.core.pins.pin(pin, asked, call),
      );
      const own = decodePosition(position).find(({ sequence }) => sequence > 0);
      if (own !== undefined)
        this.#writes.push({ by, written: { rid: hexOf(own.rid), sequence: own.sequence, unseenBy } });
      this.#world.promises.acknowledgedPosition(by, position, 'last');
    } catch (problem) {
      if (!isPinfoldError(problem, 'NOT_TRUSTED')) throw problem;
      this.#writes.push({ by, written: undefined });
    }
  }

  check(up: readonly SimProcess[]): void {
    for (const { by, written } of this.#writes) {
      const certain = reached(this.#world, by.machine, false);
      const possible = reached(this.#world, by.machine, true);
      if (written === undefined) {
        if (certain.size > 0) throw new Violation('T4', `${by.name} refuses to write, and others would take it`);
        continue;
      }
      const isAlone = this.#world.machines.length === 1;
      if (possible.size === 0 && !isAlone) throw new Violation('T4', `${by.name} has written what nobody takes`);
      for (const { machine, name } of up) {
        if (machine === by.machine) continue;
        const isNamed = written.unseenBy.includes(machine.peerId);
        const has = this.#world.checkerOf(machine).covers(written.rid, written.sequence);
        if (!has && !isNamed && !possible.has(machine))
          throw new Violation('T4', `the answer of ${by.name} did not name ${name}, which never gets what was written`);
        if (!has && certain.has(machine)) throw new Violation('T4', `${name} lacks what ${by.name} wrote last`);
        if (has && isNamed) throw new Violation('T4', `${name} has what it would not see, by the answer of ${by.name}`);
      }
    }
  }
}
