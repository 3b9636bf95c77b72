/** A part of a running peer. `start` is called once; `stop` is called once, also after a failed `start`. */
export interface Component {
  readonly name: string;
  start?(): Promise<void>;
  /** Finishes what was acknowledged, releases everything, and resolves when nothing is left running. */
  stop?(): Promise<void>;
}

export type LifecycleState = 'stopped' | 'starting' | 'running' | 'stopping' | 'failed';

/**
 * Starts components in the order given and stops them in reverse. A start that fails stops what had been started
 * (the failed one included) and rejects with the failure as it was. A stop goes on past a component that
 * fails and rejects at the end with an AggregateError of all failures.
 */
export class Lifecycle {
  #state: LifecycleState = 'stopped';
  #started: Component[] = [];
  #stopping: Promise<void> | undefined;
  readonly #components: readonly Component[];

  constructor(components: readonly Component[]) {
    this.#components = components;
  }

  get state(): LifecycleState {
    return this.#state;
  }

  async start(): Promise<void> {
    if (this.#state !== 'stopped') throw new Error(`cannot start: already ${this.#state}`);
    this.#state = 'starting';
    for (const component of this.#components) {
      this.#started.push(component);
      try {
        await component.start?.();
      } catch (failure) {
        await this.#stopAll().catch(() => {});
        this.#state = 'failed';
        throw failure;
      }
    }
    this.#state = 'running';
  }

  /** Calling it again gives the same promise. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll().finally(() => {
      this.#state = 'stopped';
    });
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    this.#state = 'stopping';
    const failures: unknown[] = [];
    for (const component of this.#started.reverse()) {
      try {
        await component.stop?.();
      } catch (failure) {
        failures.push(new Error(`${component.name} did not stop cleanly`, { cause: failure }));
      }
    }
    this.#started = [];
    if (failures.length > 0) throw new AggregateError(failures, 'some components did not stop cleanly');
  }
}
