import t, { type Test } from 'tap';
import { emptyFolder, KuboNode, type KuboSettings } from './kubo.ts';

/**
 * Started nodes in stock: to start one takes a second, in which a test need not wait. `take` hands out one that holds
 * nothing, and has the next one made.
 */
export class KuboStock {
  readonly #settings: KuboSettings;
  readonly #ready: Promise<KuboNode>[] = [];
  readonly #count: number;

  constructor(settings: KuboSettings, count: number) {
    this.#settings = settings;
    this.#count = count;
    t.teardown(() => Promise.all(this.#ready.map((each) => each.then((node) => node.remove()))));
  }

  async take(t: Test): Promise<KuboNode> {
    while (this.#ready.length <= this.#count) this.#ready.push(this.#made());
    const node = await (this.#ready.shift() as Promise<KuboNode>);
    t.teardown(() => node.remove());
    return node;
  }

  async #made(): Promise<KuboNode> {
    const node = await KuboNode.make(this.#settings);
    await node.start();
    await node.ipfs('pin', 'rm', emptyFolder);
    return node;
  }
}
